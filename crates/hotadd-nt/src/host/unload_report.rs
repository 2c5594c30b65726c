//! [`UnloadReport`]: what a driver leaves behind when it is unloaded, or failed to load.

use std::fmt;

use hotadd::ProcessorIndex;

use crate::faults;

use crate::ground::driver_object::Object;
use crate::ground::{thread, world};
use crate::kernel::ex::pool::{self, Accounting};
use crate::kernel::io::devices;
use crate::kernel::ke::{change, dispatch, dpc_queue};
use crate::kernel::{ex, io, mm, ob, ps};

/// What a driver left behind. Its registrations were deregistered, and its devices removed (D4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnloadReport {
    /// Its registrations.
    pub registrations: usize,
    /// Other objects, each with its name and number. They have no further effect.
    pub others: Vec<(&'static str, usize)>,
    /// The memory that is not freed, of all drivers of this process.
    pub pool: Accounting,
}

impl UnloadReport {
    /// The report on a driver that is no longer called.
    pub(crate) fn by(driver: &Object) -> Self {
        let registrations = change::deregister_all();
        let io = devices::forget(driver.driver());
        let others = [
            ("device", io.devices),
            ("symbolic link", io.links),
            ("registered callback function", ex::callbacks::unregister_all()),
            ("plug and play registration", io::pnp::unregister_all()),
            ("open handle", ob::handles::count()),
            ("referenced object", ob::references::count()),
            ("block of pages", mm::pages::count()),
        ];
        let others = others.into_iter().filter(|(_, count)| *count > 0).collect();
        Self { registrations, others, pool: pool::accounting() }
    }

    /// What it should have cleaned up besides memory, as text; `None` if it did.
    pub(crate) fn mess(&self) -> Option<String> {
        let registrations = ("registration", self.registrations);
        let all = std::iter::once(&registrations).chain(&self.others);
        in_words(all.filter(|(_, count)| *count > 0))
    }
}

/// What the drivers of this process have made and not given back yet, besides pool: the kind of object, and how many. Taking stock changes
/// nothing.
#[must_use]
pub fn outstanding() -> Vec<(&'static str, usize)> {
    let all = [
        ("open handle", ob::handles::count()),
        ("referenced object", ob::references::count()),
        ("block of pages", mm::pages::count()),
        ("thread", ps::threads::count()),
        ("timer", dispatch::lock().timers.count()),
    ];
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

impl fmt::Display for UnloadReport {
    /// `unloaded, 0 bytes of pool left`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unloaded, {}", self.pool)?;
        self.mess().map_or(Ok(()), |mess| write!(f, "; {mess} left"))
    }
}

/// Waits until the DPCs and work items that are queued now have run.
pub fn settle() {
    dpc_queue::flush();
    ex::work::settle();
    io::work::settle();
}

/// Uses the drivers' devices on a processor, as a program there would: opens each, sends a control code that no device has, and closes it.
pub fn use_devices(index: u32) {
    let index = ProcessorIndex::new(index);
    let active = world::get().partition.active();
    let Some(processor) = index.and_then(|index| active.by_index(index)) else { return };
    thread::pretend(processor);
    faults::watch(world::get().time_limit, io::opening::use_all);
    thread::release();
}

/// What of a driver still runs or will run: its code must stay mapped until then. `None` if nothing
/// does.
pub(crate) fn running() -> Option<String> {
    io::work::settle();
    let dpcs = dpc_queue::waiting();
    if dpcs == 0 {
        // A DPC may be about to return, although the thread that it has signalled is already here.
        dpc_queue::flush();
    }
    let all = [
        ("queued DPC", dpcs),
        ("thread", ps::threads::count()),
        ("work item", ex::work::count() + io::work::busy()),
        ("timer", dispatch::lock().timers.count()),
    ];
    in_words(all.iter().filter(|(_, count)| *count > 0))
}

/// `one device and 2 open handles`
fn in_words<'a>(all: impl Iterator<Item = &'a (&'static str, usize)>) -> Option<String> {
    let counted: Vec<String> = all
        .map(|(what, count)| match (*what, *count) {
            (what, 1) => format!("one {what}"),
            ("block of pages", count) => format!("{count} blocks of pages"),
            (what, count) => format!("{count} {what}s"),
        })
        .collect();
    let (last, others) = counted.split_last()?;
    Some(if others.is_empty() { last.clone() } else { format!("{} and {last}", others.join(", ")) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_lists_what_is_left() {
        let left = UnloadReport { registrations: 1, ..UnloadReport::default() };
        assert_eq!(left.to_string(), "unloaded, 0 bytes of pool left; one registration left");
        let others = vec![("device", 2), ("block of pages", 3)];
        let left = UnloadReport { registrations: 0, others, pool: Accounting::default() };
        assert_eq!(left.mess().unwrap(), "2 devices and 3 blocks of pages");
        assert_eq!(UnloadReport::default().to_string(), "unloaded, 0 bytes of pool left");
    }
}
