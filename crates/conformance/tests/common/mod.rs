//! Subjects on the simulated hardware.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::sync::Arc;

use hotadd::hardware::Simulated;
use hotadd::{Errno, HardwareId, Partition};
use hotadd_conformance::{Fault, Need, OnPartition, Scenario, Setup, Subject};

/// A simulation for a scenario, in which processor n has the hardware id `id(n)`.
pub(crate) fn hardware(
    scenario: &Scenario,
    id: impl Fn(u32) -> u32,
) -> (Arc<Simulated>, Vec<HardwareId>) {
    let all = scenario.active + scenario.spare;
    let ids: Vec<_> = (0..all).map(|n| HardwareId(id(n))).collect();
    let (active, spare) = ids.split_at(scenario.active as usize);
    let hardware =
        Simulated::with_ids(active.to_vec(), spare.to_vec()).expect("the ids are distinct");
    (hardware, ids)
}

/// How to run scenarios on a simulated partition, in this process.
pub(crate) fn setup(hardware: Arc<Simulated>) -> Setup {
    let partition = Partition::simulated(&hardware).expect("a simulation always has processors");
    let own = partition.clone();
    Setup {
        partition,
        connect: Box::new(move || own.clone()),
        offers: vec![
            Need::Failures,
            Need::Surprises,
            Need::SurprisesInside,
            Need::Events,
            Need::Requests,
        ],
        processors: u32::MAX,
        fault: Arc::new(move |fault, id| match fault {
            Fault::Start(_) => hardware.fail_start(id, Errno::EIO),
            Fault::Stop(_) => hardware.fail_stop(id, Errno::EBUSY),
            Fault::Heal(_) => hardware.heal(id),
            Fault::Vanish(_) => hardware.vanish(id),
            Fault::Intrude(_) => hardware.intrude(id),
        }),
        check: Box::new(|_| ()),
        apart: false,
    }
}

pub(crate) fn simulated(
    scenario: &Scenario,
    id: impl Fn(u32) -> u32,
) -> (Box<dyn Subject>, Vec<HardwareId>) {
    let (hardware, ids) = hardware(scenario, id);
    (Box::new(OnPartition::new(setup(hardware))), ids)
}
