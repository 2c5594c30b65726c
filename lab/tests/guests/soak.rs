//! Random cycles of everything that happens to a machine's partition, over `hotadd daemon` on real kernels. The invariants are
//! checked after each. `HOTADD_SOAK=CYCLES` is the number for both kernels together; `HOTADD_SEED` repeats a run.

mod machine;

use lab::Kernel;
use machine::Machine;

use crate::common::on_each_kernel;

/// A run of at least this many cycles may take long.
const LONG: u64 = 500;

on_each_kernel!(the_invariants_hold_after_every_random_cycle);

fn the_invariants_hold_after_every_random_cycle(kernel: Kernel) {
    let said = |name: &str| std::env::var(name).ok()?.parse().ok();
    // For both kernels together.
    let cycles = said("HOTADD_SOAK").unwrap_or(50) / 2;
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
