//! Starting and stopping: one write, and then the list shows the result.

use std::collections::VecDeque;
use std::sync::Arc;

use hotadd_core::{Errno as Number, HardwareId, State, Status};

use super::super::fake::{Fake, Way, World};
use super::super::kernel::Errno;
use super::super::{Hotplug, HotplugError, HotplugOptions};
use super::{Rig, breach, line};
use crate::hardware::Hardware;
use crate::{Batch, Notice, Veto};

#[test]
fn a5_x1_a_plugged_processor_can_be_added_and_removed() {
    let mut rig = Rig::new("0-7", "0-1", "0-1");
    assert_eq!(rig.partition.candidates().unwrap(), [], "nothing is offline");
    rig.act(|w| w.plug(5));
    assert!(rig.look(), "a processor that could be added is news");
    assert_eq!(
        (rig.active(), rig.told()),
        (vec![0, 1], vec!["5 appeared".to_owned()]),
        "the set is unchanged"
    );
    assert_eq!(
        rig.partition.candidates().unwrap(),
        [HardwareId(5)],
        "sparse ids are not a problem"
    );
    assert_eq!(rig.add(5).unwrap().processor.index.get(), 2);
    assert_eq!((rig.active(), rig.writes()), (vec![0, 1, 5], vec![(5, true)]));
    rig.remove(5).unwrap();
    assert_eq!((rig.active(), rig.writes()), (vec![0, 1], vec![(5, false)]));
    let (start, complete) = (line(State::AddStart, 5), line(State::AddComplete, 5));
    assert_eq!(rig.told(), [start, complete, line(State::RemoveComplete, 5)]);
    assert!(!rig.look(), "the events of the partition's own switching are not reported");
    assert_eq!(rig.told(), [""; 0]);
    assert_eq!(rig.add(5).unwrap().processor.index.get(), 2, "it keeps its index (X3)");
}

#[test]
fn a_processor_that_is_refused_or_rehearsed_leaves_no_descriptor_open() {
    let rig = Rig::new("0-3", "0-3", "0");
    let refuses = |notice: &Notice| match notice.state().may_veto() {
        true => Err(Veto::new(Status::NO_MEMORY, "no")),
        false => Ok(()),
    };
    let party = rig.partition.registration("refuses").without_replay().register(refuses).unwrap();
    rig.add(1).unwrap_err();
    assert!(rig.hotplug.opened.take(HardwareId(1)).is_none(), "refused");
    party.deregister().unwrap();
    rig.partition.rehearse(HardwareId(1)).unwrap();
    assert!(rig.hotplug.opened.take(HardwareId(1)).is_none(), "rehearsed");
    rig.add(1).unwrap();
}

#[test]
fn a4_a_failed_write_is_a_failed_start_with_its_errno_and_not_repeated() {
    let rig = Rig::new("0-3", "0-3", "0");
    let cases = [
        (Errno::AGAIN, Number::EAGAIN),
        (Errno::CANCELED, Number::ECANCELED),
        (Errno::PERM, Number::EPERM),
        (Errno::INTR, Number::EINTR),
        (Errno::BUSY, Number::EBUSY),
        (Errno::IO, Number::EIO),
    ];
    for (refusal, errno) in cases {
        rig.act(|w| drop(w.refusals.insert(1, VecDeque::from([refusal]))));
        let error = rig.add(1).unwrap_err();
        assert_eq!((error.errno(), error.clause()), (Some(errno), "A4"), "{error}");
        assert_eq!(rig.writes(), [(1, true)], "{errno}: one write, and no other");
        let failed = [line(State::AddStart, 1), line(State::AddFailure, 1)];
        assert_eq!(rig.told(), failed, "{errno}: the driver has it to undo");
        assert_eq!(rig.active(), [0], "{errno}");
    }
    rig.add(1).expect("it works when it is asked for again");
}

#[test]
fn x1_a_failed_stop_keeps_the_processor_in_the_partition() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| drop(w.refusals.insert(1, VecDeque::from([Errno::AGAIN]))));
    assert_eq!(rig.remove(1).unwrap_err().errno(), Some(Number::EAGAIN));
    assert_eq!((rig.active(), rig.writes()), (vec![0, 1], vec![(1, false)]));
    assert!(!rig.look());
    rig.act(|w| w.fixed.extend([0]));
    assert_eq!(rig.remove(0).unwrap_err().errno(), Some(Number::ENOENT), "it has no switch");
    assert_eq!(rig.active(), [0, 1]);
}

#[test]
fn a4_x1_a_write_without_effect_is_a_failed_start_or_stop() {
    let mut rig = Rig::new("0-2", "0-2", "0-1");
    // Its switch continues to read 1.
    rig.act(|w| w.switch(1, false, Way::Target));
    assert!(rig.look(), "no event came, and the list tells");
    assert_eq!(rig.active(), [0], "X2");
    assert_eq!(rig.add(1).unwrap_err().errno(), Some(Number::EIO));
    // The same for a stop.
    rig.act(|w| w.switch(2, true, Way::Target));
    assert!(rig.look());
    assert_eq!(rig.active(), [0, 2], "Q3");
    assert_eq!(rig.remove(2).unwrap_err().errno(), Some(Number::EIO));
    assert_eq!(rig.active(), [0, 2]);
    assert_eq!(rig.writes(), [(1, true), (2, false)], "one write each");
}

#[test]
fn a9_an_atomic_batch_that_fails_halfway_is_reverted() {
    let mut rig = Rig::new("0-3", "0-3", "0");
    rig.act(|w| drop(w.refusals.insert(2, VecDeque::from([Errno::CANCELED]))));
    let results = rig.partition.add_batch(&[HardwareId(1), HardwareId(2)], Batch::Atomic);
    assert!(
        results.iter().all(|(_, r)| r.as_ref().unwrap_err().errno() == Some(Number::ECANCELED))
    );
    assert_eq!(rig.writes(), [(1, true), (2, true), (1, false)]);
    assert_eq!((rig.active(), rig.fake.world().online()), (vec![0], vec![0]));
    assert!(!rig.look());
}

#[test]
fn a8_a_processor_that_cannot_be_started_is_refused_before_any_party_is_asked() {
    let mut rig = Rig::new("0-5", "0-4", "0-1");
    rig.act(|w| {
        w.fixed.insert(2);
        w.barred.insert(3, Errno::ACCESS);
        w.switch(4, true, Way::Switch);
    });
    let cases = [
        (1, Status::DEVICE_ALREADY_ATTACHED, "it is already active"),
        (2, Status::NOT_SUPPORTED, "the kernel has no online file for it"),
        (
            3,
            Status::ACCESS_DENIED,
            "this process may not bring it online, which needs root: EACCES (13)",
        ),
        (4, Status::DEVICE_ALREADY_ATTACHED, "another process has brought it online"),
        (5, Status::DEVICE_DOES_NOT_EXIST, "it is not plugged in; the present processors are 0-4"),
        (6, Status::NO_SUCH_DEVICE, "there is no such processor; this machine can have 0-5"),
        (u32::MAX, Status::NO_SUCH_DEVICE, "there is no such processor; this machine can have 0-5"),
    ];
    for (id, status, reason) in cases {
        let error = rig.add(id).unwrap_err();
        assert_eq!((error.status(), &*error.reason()), (status, reason), "processor {id}");
    }
    rig.act(|w| w.readings.push_back(Some(Errno::IO)));
    let reason = rig.add(3).unwrap_err().reason();
    assert_eq!(reason, "the list of online processors cannot be read: EIO (5)");
    assert_eq!(
        (rig.told(), rig.writes()),
        (vec![], vec![]),
        "no party was asked and nothing written"
    );
    assert_eq!(
        rig.partition.candidates().unwrap(),
        [HardwareId(3)],
        "a processor without a switch is not a candidate"
    );
    assert!(rig.look(), "the one that is online already");
    assert_eq!(rig.told(), [breach(4), "4 joined".to_owned()]);
}

#[test]
fn q3_q4_a_processor_onlined_by_others_while_drivers_are_asked_is_not_agreed() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    let fake = rig.fake.clone();
    let meddler = rig.partition.register("meddler", move |notice: &Notice| {
        if notice.state() == State::AddStart && notice.processor().id.0 == 1 {
            fake.world().switch(1, true, Way::Switch);
        }
        Ok(())
    });
    let _meddler = meddler.unwrap();
    let error = rig.add(1).unwrap_err();
    assert_eq!((error.clause(), error.status()), ("Q4", Status::RETRY));
    assert_eq!(rig.writes(), [], "nothing is written to what runs");
    assert!(!rig.look(), "it was looked at when the add was over");
    let says = "was brought online by another process while the parties were being asked about it";
    let breach = format!("breach Q4: processor 1 {says}");
    let failed = [line(State::AddStart, 1), breach, line(State::AddFailure, 1)];
    assert_eq!(rig.told(), [&failed[..], &["1 joined".to_owned()]].concat(), "one breach");
    assert!(
        !rig.partition
            .active()
            .is_agreed(rig.partition.active().by_id(HardwareId(1)).unwrap().index)
    );
}

#[test]
fn a4_q3_a_start_whose_result_cannot_be_read_fails_and_is_found_later() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    // The list can be read at the request, after the asking and before the write, and not after the write.
    rig.act(|w| w.readings.extend([None, None, None, Some(Errno::IO)]));
    assert_eq!(rig.add(1).unwrap_err().errno(), Some(Number::EIO));
    assert_eq!(rig.active(), [0]);
    assert!(rig.look());
    assert_eq!(rig.active(), [0, 1], "it runs, and no party was told");
    assert!(rig.told().contains(&breach(1)));
    assert_eq!(rig.writes(), [(1, true)]);
}

#[test]
fn x1_a_processor_that_is_already_offline_is_stopped_without_a_write() {
    let mut rig = Rig::new("0-1", "0-1", "0-1");
    rig.act(|w| w.pull(1));
    rig.remove(1).expect("it runs no more work of ours");
    assert_eq!(rig.writes(), []);
    assert!(!rig.look(), "its going is not reported twice");
    assert_eq!(rig.told(), [line(State::RemoveComplete, 1)]);
}

#[test]
fn a_machine_whose_lists_cannot_be_read_is_an_error() {
    let fake = Fake::new("0", "0", "0");
    fake.world().readings.push_back(Some(Errno::ACCESS));
    let error = Hotplug::on(Arc::new(fake), HotplugOptions::new()).unwrap_err();
    assert_eq!(error, HotplugError::Unreadable { list: "online", errno: Number::EACCES });
    assert_eq!(error.to_string(), "cannot read the list of online processors: EACCES (13)");
}

#[test]
fn this_machine_can_be_read_without_privileges() {
    let hotplug = Hotplug::new(HotplugOptions::new()).unwrap();
    let active = hotplug.active().unwrap();
    assert!(!active.is_empty() && active.len() <= hotplug.maximum() as usize);
    assert_eq!(hotplug.survey(&active), crate::hardware::Survey::default(), "it stands still");
    assert_eq!(hotplug.name(), "hotplug");
}

#[test]
fn q4_a_processor_touched_while_drivers_are_asked_is_not_started() {
    type Act = fn(&mut World);
    let blink =
        |w: &mut World| [true, false].into_iter().for_each(|on| w.switch(1, on, Way::Switch));
    let replug = |w: &mut World| {
        w.pull(1);
        w.plug(1);
    };
    let meddling: [(Act, &str); 3] = [
        (blink, "processor 1 was brought online"),
        (replug, "processor 1 was unplugged"),
        (World::lose_besides, "uevents were lost: it may have been switched"),
    ];
    for (act, says) in meddling {
        let mut rig = Rig::new("0-1", "0-1", "0");
        let fake = rig.fake.clone();
        let meddler = rig.partition.registration("meddler").without_replay();
        let meddler = meddler.register(move |notice: &Notice| {
            if notice.state() == State::AddStart {
                act(&mut fake.world());
            }
            Ok(())
        });
        let error = rig.add(1).unwrap_err();
        assert_eq!(error.clause(), "Q4", "{error}");
        assert!(error.reason().starts_with(says), "{error}");
        assert_eq!((rig.writes(), rig.active()), (vec![], vec![0]), "{says}: it is not started");
        assert!(rig.told().iter().any(|told| told.starts_with(&format!("breach Q4: {says}"))));
        drop(meddler);
        rig.look();
        rig.told();
        rig.add(1).expect("it is not touched now");
    }
}

#[test]
fn q3_a_touched_processor_that_is_onlined_later_is_reported_again() {
    let mut rig = Rig::new("0-1", "0-1", "0");
    let fake = rig.fake.clone();
    let blinks = rig.partition.registration("blinks").without_replay();
    let blinks = blinks.register(move |notice: &Notice| {
        if notice.state() == State::AddStart {
            [true, false].into_iter().for_each(|on| fake.world().switch(1, on, Way::Switch));
        }
        Ok(())
    });
    assert_eq!(rig.add(1).unwrap_err().clause(), "Q4");
    rig.told();
    rig.act(|w| w.switch(1, true, Way::Switch));
    assert!(rig.look());
    assert_eq!(rig.told(), [breach(1), "1 joined".to_owned()]);
    drop(blinks);
}
