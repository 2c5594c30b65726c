//! H2: by policy a processor that appears is asked for, reported, or waits.

use std::sync::Arc;
use std::sync::mpsc::{TryRecvError, channel};

use hotadd::hardware::Simulated;
use hotadd::{Event, EventKind, Follow, HardwareId, Notice, Partition, State};

use crate::rig::{LONG, Told, hardware, hear, next, says_when_it_ends, thread_of_the_add};

use EventKind::{Appeared, Joined, Refused};

/// A partition that follows so, and what is told of those that appear and of what becomes of them.
fn rig(follow: Follow) -> (Arc<Simulated>, Partition, Told) {
    let hardware = hardware();
    let partition = Partition::simulated(&hardware).unwrap();
    partition.follow(follow).unwrap();
    let told = hear(&partition, &[Appeared, Joined, Refused]);
    (hardware, partition, told)
}

/// Processors 2 to 5 in this order.
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
fn h2_a_partition_reports_unless_it_is_told_otherwise_and_says_what_it_does() {
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
fn h2_asking_tells_of_it_then_asks_and_a_refused_one_stays_out_until_somebody_asks() {
    let (hardware, partition, told) = rig(Follow::Ask);
    let party = partition.register("party", refuses(2)).unwrap();
    plug(&hardware, &[2]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Refused, 2)]);
    drop(party);
    // It would agree now; the next that appears is decided behind it, had it been tried again.
    plug(&hardware, &[2, 3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)]);
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(next(&told), (Joined, 2));
}

#[test]
fn h2_reporting_tells_of_it_and_asks_nobody() {
    let (hardware, partition, told) = rig(Follow::Report);
    plug(&hardware, &[2]);
    assert_eq!(next(&told), (Appeared, 2));
    // What asks from here on begins with those that were not told of.
    partition.follow(Follow::Ask).unwrap();
    plug(&hardware, &[3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)]);
    assert_eq!(
        partition.candidates().unwrap(),
        [HardwareId(2)],
        "it can be added, and nobody was asked"
    );
}

#[test]
fn h2_manual_tells_nobody_and_it_waits_among_the_candidates() {
    let (hardware, partition, told) = rig(Follow::Manual);
    plug(&hardware, &[3, 2]);
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(partition.candidates().unwrap(), [HardwareId(2), HardwareId(3)]);
    partition.add(HardwareId(2)).unwrap();
    assert_eq!(next(&told), (Joined, 2));
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn h2_what_waited_is_told_of_once_and_in_order_when_the_partition_comes_to_report() {
    let (hardware, partition, told) = rig(Follow::Manual);
    plug(&hardware, &[4, 2]);
    hardware.unplug(HardwareId(4));
    plug(&hardware, &[4]);
    partition.follow(Follow::Report).unwrap();
    let two = [told.try_recv(), told.try_recv()];
    assert_eq!(two, [Ok((Appeared, 4)), Ok((Appeared, 2))], "before it returns");
    partition.follow(Follow::Manual).unwrap();
    partition.follow(Follow::Report).unwrap();
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "they wait no longer");
    assert_eq!(partition.count(), 2);
}

#[test]
fn h2_what_waited_is_asked_for_when_the_partition_comes_to_ask() {
    let (hardware, partition, told) = rig(Follow::Manual);
    plug(&hardware, &[3, 2]);
    partition.follow(Follow::Ask).unwrap();
    let four = [(); 4].map(|()| next(&told));
    assert_eq!(four, [(Appeared, 3), (Appeared, 2), (Joined, 3), (Joined, 2)]);
}

#[test]
fn h2_what_appeared_before_anybody_could_hear_of_it_waits_from_the_first_moment() {
    let hardware = hardware();
    // As if while the partition was made: its first look finds it.
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
    assert_eq!(asked.recv_timeout(LONG), Ok((State::AddStart, 2)), "who registered was asked");
}

#[test]
fn h2_one_that_joined_was_refused_or_vanished_meanwhile_waits_no_longer() {
    let (hardware, partition, told) = rig(Follow::Manual);
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
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "the others were decided, or are gone");
}

#[test]
fn h2_one_that_joined_without_agreement_waits_no_longer() {
    let (hardware, partition, told) = rig(Follow::Manual);
    plug(&hardware, &[2, 3]);
    hardware.intrude(HardwareId(2));
    assert_eq!(next(&told), (Joined, 2), "Q3");
    partition.remove(HardwareId(2)).unwrap();
    partition.follow(Follow::Report).unwrap();
    assert_eq!(told.try_recv(), Ok((Appeared, 3)));
    assert_eq!(told.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn h2_no_longer_asking_waits_for_nobody_and_begins_no_further_add() {
    for then in [Follow::Report, Follow::Manual] {
        let (hardware, partition, told) = rig(Follow::Ask);
        let (asking, asked) = channel();
        let (answer, answers) = channel::<()>();
        let (ends, ended) = thread_of_the_add();
        let _ends = partition.register("ends", ends).unwrap();
        let driver = move |notice: &Notice| {
            if notice.state() == State::AddStart {
                asking.send(notice.processor().id.0).unwrap();
                let _ = answers.recv();
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
        assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)], "that add went on");
        plug(&hardware, &[3]);
        let reported = (then == Follow::Report).then_some((Appeared, 3));
        assert_eq!(told.try_recv().ok(), reported);
        assert_eq!(partition.candidates().unwrap(), [HardwareId(3)]);
    }
}

#[test]
fn h2_no_longer_asking_those_behind_the_add_under_way_wait_or_stay_out() {
    for then in [Follow::Report, Follow::Manual] {
        let (hardware, partition, told) = rig(Follow::Ask);
        // Three appear at once, before the first of them can be asked for: inside the add of another.
        let inside = hardware.clone();
        let plugs = move |notice: &Notice| {
            if (notice.state(), notice.processor().id) == (State::AddComplete, HardwareId(5)) {
                plug(&inside, &[2, 3, 4]);
            }
            Ok(())
        };
        let plugs = partition.registration("plugs").without_replay().register(plugs).unwrap();
        // When the first of them is asked for, that ends.
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
        assert_eq!(six[1..4], [2, 3, 4].map(|id| (Appeared, id)), "at once, and not after the add");
        assert_eq!(six[4], (Joined, 5));
        assert_eq!(six[5], (Joined, 2));
        ended.recv_timeout(LONG).expect("it says so once for each add that is not its last");
        ended.recv_timeout(LONG).expect("the thread has ended");
        assert_eq!(told.try_recv(), Err(TryRecvError::Empty), "no further one was begun");
        drop((plugs, changes));
        partition.follow(Follow::Ask).unwrap();
        if then == Follow::Manual {
            let four = [(); 4].map(|()| next(&told));
            assert_eq!(four, [(Appeared, 3), (Appeared, 4), (Joined, 3), (Joined, 4)], "a pause");
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
fn h2_d3_from_inside_a_callback_it_does_not_wait_and_takes_effect_after_the_transaction() {
    let (hardware, partition, told) = rig(Follow::Manual);
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
fn h2_the_last_handle_of_a_partition_that_asks_takes_its_thread_and_everything_along() {
    let (hardware, partition, told) = rig(Follow::Ask);
    let (driver, ended) = thread_of_the_add();
    let party = partition.register("party", driver).unwrap();
    plug(&hardware, &[2]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)]);
    assert_eq!(ended.try_recv(), Err(TryRecvError::Empty), "it waits for the next that appears");
    let other = partition.clone();
    drop(partition);
    plug(&hardware, &[3]);
    assert_eq!([next(&told), next(&told)], [(Appeared, 3), (Joined, 3)], "one handle is enough");
    drop((other, party));
    ended.recv_timeout(LONG).expect("3 was added");
    ended.recv_timeout(LONG).expect("its thread ends");
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected), "its observers are gone");
    assert_eq!(Arc::strong_count(&hardware), 1, "and so is all that it had");
}

#[test]
fn h2_the_last_handle_may_go_while_what_appeared_is_being_added() {
    let (hardware, partition, told) = rig(Follow::Ask);
    let (starting, started) = channel();
    let (go_on, may_go_on) = channel::<()>();
    let (ends, ended) = channel();
    // An observer and no driver: a driver's registration is a handle too.
    let observe = move |event: &Event| {
        if event.kind == EventKind::Started {
            says_when_it_ends(&ends);
            starting.send(()).unwrap();
            let _ = may_go_on.recv();
        }
    };
    partition.observe(observe).unwrap().detach();
    plug(&hardware, &[2]);
    started.recv_timeout(LONG).expect("it is being added");
    drop(partition);
    drop(go_on);
    ended.recv_timeout(LONG).expect("the thread ends");
    assert_eq!([next(&told), next(&told)], [(Appeared, 2), (Joined, 2)], "the add went on");
    assert_eq!(told.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(Arc::strong_count(&hardware), 1, "the partition is gone");
}
