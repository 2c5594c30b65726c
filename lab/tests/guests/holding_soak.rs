//! Processors are plugged in, unplugged and switched at random, each brought online at once by another
//! process, under a program that uses `Partition::process()` and whose driver agrees or refuses. Its threads
//! run only on agreed processors. A tenth of `HOTADD_SOAK` is the number of actions on each kernel;
//! `HOTADD_SEED` repeats a run.

use std::collections::BTreeSet;

use fastrand::Rng;
use lab::{Guest, Kernel};

use crate::common::holder::{Holder, with_holder};
use crate::common::{MANY, cpu, on_each_kernel};

on_each_kernel!(no_thread_runs_on_a_processor_without_agreement_during_random_changes);

/// The number of processors that can be present at once.
const MOST: u32 = 5;

/// The number of processors that QEMU can create, including those that it removes again.
const SLOTS: u32 = MANY;

fn no_thread_runs_on_a_processor_without_agreement_during_random_changes(kernel: Kernel) {
    let said = |name: &str| std::env::var(name).ok()?.parse().ok();
    let steps = said("HOTADD_SOAK").unwrap_or(100) / 10;
    let seed = said("HOTADD_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{kernel}: {steps} steps, HOTADD_SEED={seed}");
    let lab = with_holder(kernel).program("lab-onliner").unwrap();
    let guest = lab.cpus(1, SLOTS).boot().unwrap();
    let up = "mkfifo /tmp/up; lab-onliner /tmp/up now > /tmp/onliner 2>&1 & cat /tmp/up";
    assert!(guest.run(&["sh", "-c", up]).unwrap().status.success());
    let mut machine = Machine::begin(&guest, seed);
    for step in 0..steps {
        let what = machine.step();
        println!("{kernel}: step {step}: {what}");
        machine.holds();
    }
    let total = machine.holder.total();
    total.show(kernel, &format!("{steps} steps"));
    assert_eq!((total.outside, total.slotless), (0, 0), "{kernel}, seed {seed}: {total:?}");
    machine.holder.nothing_joined_without_agreement();
    machine.holder.end();
}

/// A machine whose processors come and go, and its expected state. Processor 0 is always present.
struct Machine<'a> {
    guest: &'a Guest,
    holder: Holder<'a>,
    rng: Rng,
    /// All of the first of these processors are plugged in, except those that were unplugged.
    plugged: u32,
    pulled: BTreeSet<u32>,
    /// The number of processors that QEMU has created.
    made: u32,
    joined: BTreeSet<u32>,
    /// Online processors that were refused.
    refused: BTreeSet<u32>,
    off: BTreeSet<u32>,
}

impl<'a> Machine<'a> {
    fn begin(guest: &'a Guest, seed: u64) -> Self {
        Self {
            guest,
            holder: Holder::start(guest, "holder", "exec $holder"),
            rng: Rng::with_seed(seed),
            plugged: 1,
            pulled: BTreeSet::new(),
            made: 1,
            joined: BTreeSet::new(),
            refused: BTreeSet::new(),
            off: BTreeSet::new(),
        }
    }

    /// Performs a random action and waits for its effect. Returns its description.
    fn step(&mut self) -> String {
        let there: Vec<u32> = self.joined.union(&self.refused).copied().collect();
        let off: Vec<u32> = self.off.iter().copied().collect();
        let has_room = there.len() + off.len() < MOST as usize && self.made < SLOTS;
        match self.rng.u32(..10) {
            0..4 if has_room => self.plug(),
            4..6 if !there.is_empty() => {
                let id = self.any(&there);
                self.switch_off(id)
            }
            6..8 if !off.is_empty() => {
                let id = self.any(&off);
                self.switch_on(id)
            }
            _ if !there.is_empty() => {
                let id = self.any(&there);
                self.pull(id)
            }
            _ if has_room => self.plug(),
            _ => {
                let id = self.any(&off);
                self.switch_on(id)
            }
        }
    }

    /// Linux 6.1 numbers processors in the order of arrival, and hangs with one after an empty slot.
    fn plug(&mut self) -> String {
        let id = self.pulled.pop_first().unwrap_or(self.plugged);
        self.plugged = self.plugged.max(id + 1);
        self.made += 1;
        let way = self.comes(id, |guest| guest.plug(id as usize).unwrap());
        format!("{id} is plugged in, {way}")
    }

    fn switch_on(&mut self, id: u32) -> String {
        self.off.remove(&id);
        let way = self.comes(id, |guest| {
            guest.write(&cpu(&format!("cpu{id}/online")), "1").unwrap();
        });
        format!("{id} is switched on, {way}")
    }

    /// The processor comes online. The driver is told its answer before.
    fn comes(&mut self, id: u32, act: impl FnOnce(&Guest)) -> &'static str {
        let agree = self.rng.u32(..3) > 0;
        self.holder.order(&if agree { "agree".to_owned() } else { format!("refuse {id}") });
        let mark = self.holder.mark();
        act(self.guest);
        if agree {
            self.holder.until(mark, &format!("{id} joined @"));
            self.joined.insert(id);
            return "and joins";
        }
        self.holder.until(mark, &format!("{id} refused: "));
        self.refused.insert(id);
        "and is refused"
    }

    fn switch_off(&mut self, id: u32) -> String {
        self.off.insert(id);
        self.goes(id, |guest| guest.write(&cpu(&format!("cpu{id}/online")), "0").unwrap());
        format!("{id} is switched off")
    }

    fn pull(&mut self, id: u32) -> String {
        self.pulled.insert(id);
        self.goes(id, |guest| guest.remove_cpu(id as usize).unwrap());
        format!("{id} is pulled out")
    }

    fn goes(&mut self, id: u32, act: impl FnOnce(&Guest)) {
        let mark = self.holder.mark();
        act(self.guest);
        self.refused.remove(&id);
        if self.joined.remove(&id) {
            self.holder.until(mark, &format!("{id} vanished")); // X2
        }
    }

    /// The invariants when nothing is under way.
    fn holds(&mut self) {
        let set: Vec<String> = [0].iter().chain(&self.joined).map(u32::to_string).collect();
        self.holder.stays_on(&set.join(","));
    }

    fn any(&mut self, of: &[u32]) -> u32 {
        of[self.rng.usize(..of.len())]
    }
}
