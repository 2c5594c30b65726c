//! GetEvents: the history in parts, without gaps and without repetitions. And RehearseRemoval.

use std::sync::{Arc, Mutex};

use hotadd::hardware::Simulated;
use hotadd::{Driver, HardwareId, Notice, Partition, Removal, State, Status, Veto};
use serde_json::Value;

use crate::common::{Peer, Served};

const ONE: HardwareId = HardwareId(1);

fn events(peer: &Peer, from: u64) -> (u64, Vec<Value>) {
    let (first, events): (u64, Vec<String>) = peer.call("GetEvents", &from).unwrap();
    (first, events.iter().map(|event| serde_json::from_str(event).unwrap()).collect())
}

/// Adds the processor and removes it: two events without parties, and those of start and stop.
fn change(partition: &Partition) {
    partition.add(ONE).unwrap();
    partition.remove(ONE).unwrap();
}

#[test]
fn the_events_from_a_number_on_are_those_of_the_history() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    assert_eq!(events(&peer, 0), (1, vec![]), "nothing has happened");
    change(&served.partition);
    let whole: Vec<String> = peer.call("GetHistory", &1000_u32).unwrap();
    let whole: Vec<Value> =
        whole.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert!(whole.len() >= 4, "{whole:?}");
    assert_eq!(events(&peer, 0), events(&peer, 1), "the first is number 1");
    for from in 0..=whole.len() {
        let number = u64::try_from(from + 1).unwrap();
        assert_eq!(events(&peer, number), (number, whole[from..].to_vec()), "from {number} on");
    }
    let end = u64::try_from(whole.len() + 1).unwrap();
    assert_eq!(events(&peer, u64::MAX), (end, vec![]), "the number of the next event");
}

#[test]
fn events_that_are_no_longer_kept_are_noticed_and_each_part_continues_the_one_before() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    // More than the partition keeps, and than fits into a message.
    for _ in 0..300 {
        change(&served.partition);
    }
    let (first, mut some) = events(&peer, 0);
    assert!(first > 1, "the first events are gone");
    let (mut next, mut all) = (first, Vec::new());
    while !some.is_empty() {
        next += u64::try_from(some.len()).unwrap();
        all.append(&mut some);
        let (first, more) = events(&peer, next);
        assert_eq!(first, next, "no gap");
        some = more;
    }
    assert_eq!(all.len(), 1000, "all that are kept");
    let names: Vec<_> = all.iter().map(|event| event["event"].as_str().unwrap()).collect();
    for change in names.windows(5) {
        assert_eq!(change[0], change[4], "the same four events again and again: {change:?}");
    }
}

/// Hears of removals, and refuses them.
struct Busy(Arc<Mutex<Vec<State>>>);

impl Driver for Busy {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        Ok(())
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Busy {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.0.lock().unwrap().push(notice.state());
        Err(Veto::new(Status::DEVICE_BUSY, "a job is on it"))
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.state());
    }

    fn remove_failure(&mut self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.state());
    }
}

#[test]
fn a10_a_rehearsal_of_a_removal_has_every_answer_and_removes_nothing() {
    let served = Served::new(1, 1);
    let there = Partition::connect(&served.path).unwrap();
    let states = Arc::new(Mutex::new(Vec::new()));
    let busy = Busy(Arc::clone(&states));
    let _unasked = there.register("unasked", |_: &Notice| Ok(())).unwrap();
    let _busy = there.register("busy", busy).unwrap();
    served.partition.add(ONE).unwrap();
    let epoch = served.partition.active().epoch();
    let rehearsal = there.rehearse_removal(ONE).unwrap();
    assert_eq!(rehearsal.processor.id, ONE);
    let answers: Vec<_> = rehearsal
        .answers
        .iter()
        .map(|given| (given.party.name.as_str(), given.answer.as_ref().err().map(Veto::reason)))
        .collect();
    assert_eq!(
        answers,
        [("busy", Some("a job is on it"))],
        "a party without removal notices is not asked"
    );
    assert_eq!(*states.lock().unwrap(), [State::RemoveStart], "it refused, so nothing is undone");
    assert_eq!(served.partition.active().epoch(), epoch, "nothing has changed");
    let error = there.rehearse_removal(HardwareId(9)).unwrap_err();
    assert_eq!(
        error.to_string(),
        served.partition.rehearse_removal(HardwareId(9)).unwrap_err().to_string()
    );
}

#[test]
fn x1_the_only_processor_is_not_rehearsed_to_leave() {
    let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
    let error = partition.rehearse_removal(HardwareId(0)).unwrap_err();
    assert!(matches!(error, hotadd::Error::NotRemovable { .. }), "{error}");
}
