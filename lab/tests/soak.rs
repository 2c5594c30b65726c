//! Random cycles of everything that happens to a machine's partition, over `hotadd daemon` on real kernels; after each, what must hold
//! does. `HOTADD_SOAK=CYCLES` says how many, on both kernels together; `HOTADD_SEED` repeats a run.

mod common;
#[path = "soak/machine.rs"]
mod machine;

use common::on_each_kernel;
use lab::Kernel;

use machine::Machine;

/// From how many cycles on a run is one of those that may take long.
const LONG: u64 = 500;

on_each_kernel!(whatever_happens_what_must_hold_does);

fn whatever_happens_what_must_hold_does(kernel: Kernel) {
    let said = |name: &str| std::env::var(name).ok()?.parse().ok();
    // Both kernels together.
    let cycles = said("HOTADD_SOAK").unwrap_or(200) / 2;
    let seed = said("HOTADD_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{kernel}: {cycles} cycles, HOTADD_SEED={seed}");
    let mut machine = Machine::boot(kernel, seed);
    for cycle in 0..cycles {
        let what = machine.cycle();
        println!("{kernel}: cycle {cycle}: {what}");
        machine.holds(&format!("{kernel}, seed {seed}, cycle {cycle}, after: {what}"));
    }
    if cycles >= LONG {
        machine.stays_flat();
    }
    machine.end();
}
