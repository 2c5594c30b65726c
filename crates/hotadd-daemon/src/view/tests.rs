//! Tests of how processors that appear are shown, and of which parties are shown as agreeing.

use std::sync::{Arc, Mutex};

use hotadd::hardware::Simulated;
use hotadd::{Notice, Partition, Veto};

use super::*;

/// The view of a partition of processor 0 after processor 1 has appeared and `then` has run.
fn after_an_appearance(
    follow: Follow,
    then: impl FnOnce(&Partition, &Simulated),
) -> (View, Vec<String>) {
    let hardware = Simulated::new(1, 1).unwrap();
    hardware.unplug(HardwareId(1));
    let partition = Partition::simulated(&hardware).unwrap();
    let mut view = View::new(
        "simulated",
        String::new(),
        [(HardwareId(0), 0)],
        partition.candidates().unwrap(),
    );
    view.follow = Some(follow);
    assert!(!view.processors.contains_key(&HardwareId(1)), "processor 1 is unknown at the start");
    let seen = Arc::new(Mutex::new((view, Vec::new())));
    let into = Arc::clone(&seen);
    let see = move |event: &Event| {
        let (view, notes) = &mut *into.lock().unwrap();
        notes.extend(view.take(event).map(|note| note.text));
    };
    let observation = partition.observe(see).unwrap();
    hardware.plug(HardwareId(1));
    then(&partition, &hardware);
    drop((observation, partition));
    let seen = Arc::into_inner(seen).expect("the observer is dropped");
    seen.into_inner().unwrap()
}

#[test]
fn h2_a_processor_that_appears_gets_a_row_and_a_line_about_what_follows() {
    let lines = [
        (Follow::Ask, "processor 1 appeared; all parties are asked"),
        (Follow::Report, "processor 1 appeared; no party is asked (--follow report)"),
    ];
    for (follow, line) in lines {
        let (view, notes) = after_an_appearance(follow, |_, _| ());
        assert_eq!(notes, [line]);
        assert_eq!(view.processors[&HardwareId(1)].state, RowState::Spare);
    }
}

#[test]
fn h2_the_outcome_of_an_appearance_is_in_the_row_until_the_next_appearance() {
    let (view, notes) = after_an_appearance(Follow::Ask, |partition, _| {
        partition.add(HardwareId(1)).unwrap();
    });
    let row = &view.processors[&HardwareId(1)];
    assert_eq!((row.state, row.index), (RowState::Active, Some(1)));
    assert!(notes[1].starts_with("processor 1 joined"), "{notes:?}");

    let no = |notice: &Notice| match notice.processor().id {
        HardwareId(1) => Err(Veto::from("no")),
        _ => Ok(()),
    };
    let refused = |partition: &Partition| {
        let _party = partition.register("pool", no).unwrap();
        partition.add(HardwareId(1)).unwrap_err();
    };
    let (view, notes) = after_an_appearance(Follow::Ask, |partition, _| refused(partition));
    assert!(notes.iter().any(|n| n.starts_with("processor 1 stays out: pool refused: no")));
    let row = &view.processors[&HardwareId(1)];
    assert_eq!((row.state, row.answers.len()), (RowState::Refused, 1));
    assert!(row.why.as_ref().is_some_and(|why| why.starts_with("pool")), "{row:?}");

    let (view, _) = after_an_appearance(Follow::Ask, |partition, hardware| {
        refused(partition);
        hardware.unplug(HardwareId(1));
        hardware.plug(HardwareId(1));
    });
    let row = &view.processors[&HardwareId(1)];
    assert_eq!((row.state, row.answers.len(), &row.why), (RowState::Spare, 0, &None));
}

#[test]
fn an_earlier_refusal_is_not_shown_as_an_agreement() {
    let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
    let view = View::new("simulated", String::new(), [], [HardwareId(1)]);
    let seen = Arc::new(Mutex::new((view, Vec::new())));
    let into = Arc::clone(&seen);
    let see = move |event: &Event| {
        let (view, notes) = &mut *into.lock().unwrap();
        notes.extend(view.take(event).map(|note| note.text));
    };
    let _observation = partition.observe(see).unwrap();
    let no = |notice: &Notice| match notice.processor().id {
        HardwareId(1) => Err(Veto::from("no")),
        _ => Ok(()),
    };
    let refusing = partition.register("no", no).unwrap();
    partition.add(HardwareId(1)).unwrap_err();
    drop(refusing);
    partition.add(HardwareId(1)).unwrap();
    let last = seen.lock().unwrap().1.last().cloned().unwrap_or_default();
    assert!(last.starts_with("processor 1 joined"), "{last}");
    assert!(!last.contains("agreed"), "no party was asked: {last}");
}
