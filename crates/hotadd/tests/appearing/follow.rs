//! H2: the policy decides whether a processor that appears is added, reported, or waits.

use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};

use hotadd::hardware::Simulated;
use hotadd::{Event, EventKind, Follow, HardwareId, Notice, Partition, State};

use crate::fixture::{LONG, Told, hardware, hear, next, says_when_it_ends, thread_of_the_add};

use EventKind::{Appeared, Joined, Refused};

/// A partition with this policy, and the events about appearing processors.
fn fixture(follow: Follow) -> (Arc<Simulated>, Partition, Told) {
    let hardware = hardware();
    let partition = Partition::simulated(&hardware).unwrap();
    partition.follow(follow).unwrap();
    let told = hear(&partition, &[Appeared, Joined, Refused]);
    (hardware, partition, told)
}

/// Plugs in these of processors 2 to 5, in this order.
fn plug(hardware: &Simulated, ids: &[u32]) {
    ids.iter().for_each(|id| hardware.plug(HardwareId(*id)));
}

fn refuses(id: u32) -> impl Fn(&Notice) -> Result<(), hotadd::Veto> + Send {
    move |notice| match (notice.state(), notice.processor().id) {
        (State::AddStart, HardwareId(asked)) if asked == id => Err("not this one".into()),
        _ => Ok(()),
    }
}

#[test]
fn h2_the_default_policy_is_report_and_the_policy_can_be_read() {
    let hardware = hardware();
    let partition = Partition::simulated(&hardware).unwrap();
    assert_eq!(partition.following(), Follow::Report);
    for follow in [Follow::Ask, Follow::Ask, Follow::Manual, Follow::Report] {
        partition.follow(follow).unwrap();
        assert_eq!(partition.clone().following(), follow, "all handles are one partition");
    }
    let over =
        |follow| Partition::from_hardware_following(hardware.clone(), follow).unwrap().following();
    for follow in [Follow::Ask, Follow::Report, Follow::Manual] {
        assert_eq!(over(follow), follow);
    }
}

#[test]
fn h2_ask_reports_and_adds_a_processor_and_a_refused_one_waits_for_a_request() {
    let (hardware, partition, told) = fixture(Follow::Ask);
    let party = partition.register("party", refuses(2)).unwrap();
    plug(&hardware, &[2]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Refused, 2)]);
    drop(party);
    // The party would agree now. If 2 had been tried again, its event would come before that of the next processor.
    plug(&hardware, &[2, 3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)]);
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(next(&told), (Joined, 2));
}

#[test]
fn h2_report_reports_a_processor_and_asks_no_party() {
    let (hardware, partition, told) = fixture(Follow::Report);
    plug(&hardware, &[2]);
    assert_eq!(next(&told), (Appeared, 2));
    // The policy `ask` begins with processors that were not reported.
    partition.follow(Follow::Ask).unwrap();
    plug(&hardware, &[3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)]);
    assert_eq!(
        partition.candidates().unwrap(),
        [HardwareId(2)],
        "it is a candidate, and no party was asked"
    );
}

#[test]
fn h2_manual_reports_nothing_and_the_processor_waits_as_a_candidate() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    plug(&hardware, &[3, 2]);
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(partition.candidates().unwrap(), [HardwareId(2), HardwareId(3)]);
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(next(&told), (Joined, 2));
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn h2_waiting_processors_are_reported_once_in_order_when_the_policy_becomes_report() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    plug(&hardware, &[4, 2]);
    hardware.unplug(HardwareId(4));
    plug(&hardware, &[4]);
    partition.follow(Follow::Report).unwrap();
    let two = [told.try_recv(), told.try_recv()];
    assert_eq!(two, [Ok((Appeared, 4)), Ok((Appeared, 2))], "before it returns");
    partition.follow(Follow::Manual).unwrap();
    partition.follow(Follow::Report).unwrap();
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "they do not wait any more");
    assert_eq!(partition.count(), 2);
}

#[test]
fn h2_waiting_processors_are_added_when_the_policy_becomes_ask() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    plug(&hardware, &[3, 2]);
    partition.follow(Follow::Ask).unwrap();
    let four = [(); 4].map(|()| next(&told));
    assert_eq!(four, [(Appeared, 3), (Appeared, 2), (Joined, 3), (Joined, 2)]);
}

#[test]
fn h2_a_processor_that_appeared_before_the_first_observer_waits() {
    let hardware = hardware();
    // As if it appeared while the partition was created: the first look finds it.
    plug(&hardware, &[2]);
    let partition = Partition::from_hardware_following(hardware.clone(), Follow::Manual).unwrap();
    let told = hear(&partition, &[Appeared, Joined, Refused]);
    let (driver, asked) = channel();
    let driver = move |notice: &Notice| {
        let _ = driver.send((notice.state(), notice.processor().id.0));
        Ok(())
    };
    let _party = partition.registration("party").without_replay().register(driver).unwrap();
    partition.follow(Follow::Ask).unwrap();
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)]);
    assert_eq!(
        asked.recv_timeout(LONG),
        Ok((State::AddStart, 2)),
        "the registered party was asked"
    );
}

#[test]
fn h2_a_waiting_processor_that_joined_was_refused_or_vanished_does_not_wait_any_more() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    let _party = partition.register("party", refuses(3)).unwrap();
    plug(&hardware, &[2, 3, 4, 5]);
    partition.add(HardwareId(2)).unwrap();
    partition.remove(HardwareId(2)).unwrap();
    partition.add(HardwareId(3)).unwrap_err();
    hardware.unplug(HardwareId(4));
    assert_eq!([next(&told), next(&told)], [(Joined, 2), (Refused, 3)]);
    assert_eq!(partition.candidates().unwrap(), [2, 3, 5].map(HardwareId));
    partition.follow(Follow::Report).unwrap();
    assert_eq!(told.try_recv(), Ok((Appeared, 5)));
    assert_eq!(
        told.try_recv(),
        Err(TryRecvError::Empty),
        "the others were decided or have vanished"
    );
}

#[test]
fn h2_a_waiting_processor_that_joined_without_agreement_does_not_wait_any_more() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    plug(&hardware, &[2, 3]);
    hardware.intrude(HardwareId(2));
    assert_eq!(next(&told), (Joined, 2), "Q3");
    partition.remove(HardwareId(2)).unwrap();
    partition.follow(Follow::Report).unwrap();
    assert_eq!(told.try_recv(), Ok((Appeared, 3)));
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn h2_leaving_ask_does_not_block_and_begins_no_further_add() {
    for then in [Follow::Report, Follow::Manual] {
        let (hardware, partition, told) = fixture(Follow::Ask);
        let (asking, asked) = channel();
        let (answer, answers) = channel::<()>();
        let (ends, ended) = thread_of_the_add();
        let _ends = partition.register("ends", ends).unwrap();
        let driver = move |notice: &Notice| {
            if notice.state() == State::AddStart {
                asking.send(notice.processor().id.0).unwrap();
                let _ = answers.recv_timeout(LONG);
            }
            Ok(())
        };
        let _party = partition.registration("party").without_replay().register(driver).unwrap();
        plug(&hardware, &[2]);
        assert_eq!(asked.recv_timeout(LONG), Ok(2));
        partition.follow(then).unwrap();
        assert_eq!(partition.following(), then, "although the add is still under way");
        drop(answer);
        ended.recv_timeout(LONG).expect("what asked has ended");
        assert_eq!(
            [next(&told), next(&told)],
            [(Appeared, 2), (Joined, 2)],
            "the add under way continued"
        );
        plug(&hardware, &[3]);
        let reported = (then == Follow::Report).then_some((Appeared, 3));
        assert_eq!(told.try_recv().ok(), reported);
        assert_eq!(partition.candidates().unwrap(), [HardwareId(3)]);
    }
}

#[test]
fn h2_leaving_ask_leaves_later_processors_waiting_or_reported() {
    for then in [Follow::Report, Follow::Manual] {
        let (hardware, partition, told) = fixture(Follow::Ask);
        // Three processors appear together during the add of another, before the first of them can be added.
        let inside = hardware.clone();
        let plugs = move |notice: &Notice| {
            if (notice.state(), notice.processor().id) == (State::AddComplete, HardwareId(5)) {
                plug(&inside, &[2, 3, 4]);
            }
            Ok(())
        };
        let plugs = partition.registration("plugs").without_replay().register(plugs).unwrap();
        // When the first of them is added, the policy changes.
        let changing = partition.clone();
        let changes = move |notice: &Notice| {
            if (notice.state(), notice.processor().id) == (State::AddStart, HardwareId(2)) {
                changing.follow(then).unwrap();
            }
            Ok(())
        };
        let changes = partition.registration("changes").without_replay().register(changes).unwrap();
        let (ends, ended) = thread_of_the_add();
        let _ends = partition.register("ends", ends).unwrap();
        plug(&hardware, &[5]);
        let six = [(); 6].map(|()| next(&told));
        assert_eq!(six[0], (Appeared, 5));
        assert_eq!(six[1..4], [2, 3, 4].map(|id| (Appeared, id)), "at once, during the add");
        assert_eq!(six[4], (Joined, 5));
        assert_eq!(six[5], (Joined, 2));
        ended.recv_timeout(LONG).expect("it says so once for each add that is not its last");
        ended.recv_timeout(LONG).expect("the thread has ended");
        assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "no further add began");
        drop((plugs, changes));
        partition.follow(Follow::Ask).unwrap();
        if then == Follow::Manual {
            let four = [(); 4].map(|()| next(&told));
            assert_eq!(
                four,
                [(Appeared, 3), (Appeared, 4), (Joined, 3), (Joined, 4)],
                "asking continues with the waiting processors"
            );
        } else {
            hardware.unplug(HardwareId(4));
            plug(&hardware, &[4]);
            assert_eq!([next(&told), next(&told)], [(Appeared, 4), (Joined, 4)]);
            assert_eq!(
                partition.candidates().unwrap(),
                [HardwareId(3)],
                "it was reported, and stays out"
            );
        }
    }
}

#[test]
fn h2_d3_a_policy_set_inside_a_callback_takes_effect_after_the_transaction() {
    let (hardware, partition, told) = fixture(Follow::Manual);
    plug(&hardware, &[2, 3]);
    let inside = partition.clone();
    let (sender, seen) = channel();
    let observe = move |event: &Event| {
        if event.kind == Joined && event.id == Some(HardwareId(2)) {
            let set = inside.follow(Follow::Ask);
            let _ = sender.send((set.is_ok(), inside.following()));
        }
    };
    let _observation = partition.observe(observe).unwrap();
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(seen.try_recv(), Ok((true, Follow::Ask)));
    let three = [(); 3].map(|()| next(&told));
    assert_eq!(three, [(Joined, 2), (Appeared, 3), (Joined, 3)]);
}

#[test]
fn h2_dropping_the_last_handle_of_an_asking_partition_ends_its_thread_and_releases_everything() {
    let (hardware, partition, told) = fixture(Follow::Ask);
    let (driver, ended) = thread_of_the_add();
    let party = partition.register("party", driver).unwrap();
    plug(&hardware, &[2]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)]);
    assert_eq!(
        ended.try_recv(),
        Err(TryRecvError::Empty),
        "the thread waits for the next appearance"
    );
    let other = partition.clone();
    drop(partition);
    plug(&hardware, &[3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)], "one handle is enough");
    drop((other, party));
    ended.recv_timeout(LONG).expect("3 was added");
    ended.recv_timeout(LONG).expect("its thread ends");
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected), "its observers are gone");
    assert_eq!(Arc::strong_count(&hardware), 1, "and everything it held is released");
}

#[test]
fn h2_the_last_handle_may_be_dropped_during_an_add_of_an_appeared_processor() {
    let (hardware, partition, told) = fixture(Follow::Ask);
    let (starting, started) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let (ends, ended) = channel();
    // An observer and not a driver, because a driver's registration is a handle too.
    let observe = move |event: &Event| {
        if event.kind == EventKind::Started {
            says_when_it_ends(&ends);
            starting.send(()).unwrap();
            let _ = may_go_on.recv_timeout(LONG);
        }
    };
    partition.observe(observe).unwrap().detach();
    plug(&hardware, &[2]);
    started.recv_timeout(LONG).expect("it is being added");
    drop(partition);
    drop(go_on);
    ended.recv_timeout(LONG).expect("the thread ends");
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)], "the add continued");
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(Arc::strong_count(&hardware), 1, "the partition is gone");
}
