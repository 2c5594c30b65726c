//! The page and the board that a connection is handed: which peers get them, and that agents are called there.

use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hotadd::{EventKind, HardwareId, Notice, Partition, SetPage, State, Status, Veto};
use hotadd_page::board::{BoardReader, Call, Entry};
use hotadd_wire as wire;

mod common;

use common::{PATIENCE, Peer, Served};

/// Opens the connection's board.
fn open(peer: &Peer) -> BoardReader {
    let (memory, doorbell): (zbus::zvariant::OwnedFd, zbus::zvariant::OwnedFd) =
        peer.call("OpenBoard", &()).unwrap();
    BoardReader::open(OwnedFd::from(memory), OwnedFd::from(doorbell)).unwrap()
}

/// Registers an agent that is called on the board. Gives its identity.
fn register(peer: &Peer, limit_ms: u32) -> u64 {
    let path = zbus::zvariant::ObjectPath::try_from("/org/hotadd/Agent/1").unwrap();
    let flags = wire::LATER_ONLY | wire::BOARD | wire::CONCURRENT;
    let (party, _): (u64, u64) =
        peer.call("Register", &(path, "pool", flags, 0_i32, limit_ms)).unwrap();
    party
}

/// Waits for the next call on the board.
fn next(board: &mut BoardReader) -> (Entry, Call) {
    let began = Instant::now();
    loop {
        if let Some(call) = board.next() {
            return call.unwrap();
        }
        assert!(began.elapsed() < PATIENCE, "nothing is asked on the board");
        std::thread::yield_now();
    }
}

#[test]
fn the_page_is_handed_out_as_a_descriptor_that_can_only_be_read() {
    let served = Served::new(2, 1);
    let peer = served.peer();
    let page: zbus::zvariant::OwnedFd = peer.call("GetPage", &()).unwrap();
    let descriptor = OwnedFd::from(page);
    let writable = std::fs::OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&descriptor)));
    if let Ok(file) = writable {
        file.set_len(0).expect_err("its length is sealed");
        std::io::Write::write(&mut &file, b"x").expect_err("writing is sealed");
    }
    let page = SetPage::from_descriptor(descriptor).unwrap();
    assert_eq!(page.count(), 2);
    served.partition.add(HardwareId(2)).unwrap();
    assert_eq!(page.count(), 3, "it shows later changes too");
    assert!(!page.is_ended(), "the partition is alive");
}

#[test]
fn an_agent_that_registers_with_a_board_is_called_there_and_can_refuse() {
    let served = Served::new(1, 2);
    let partition = Partition::connect(&served.path).unwrap();
    let (said, heard) = mpsc::channel();
    let _registration = partition
        .registration("pool")
        .without_replay()
        .register(move |notice: &Notice| {
            said.send((notice.state(), notice.processor().id)).unwrap();
            if notice.processor().id == HardwareId(2) && notice.state().may_veto() {
                return Err(Veto::new(Status::NO_MEMORY, "no memory on the board"));
            }
            Ok(())
        })
        .unwrap();
    served.partition.add(HardwareId(1)).unwrap();
    let refused = served.partition.add(HardwareId(2)).unwrap_err();
    assert!(refused.to_string().contains("no memory on the board"), "{refused}");
    assert_eq!(heard.try_iter().count(), 3, "A6: a party that refuses is not told of the failure");
}

#[test]
fn l3_a_process_that_dies_while_it_is_asked_on_its_board_refuses_at_once() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let mut board = open(&peer);
    // A limit that the test would not survive.
    register(&peer, 600_000);
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| served.partition.add(HardwareId(1)));
        let (_, call) = next(&mut board);
        assert_eq!(call.notice.processor().id, HardwareId(1));
        drop(peer);
        let refused = adding.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("its connection was closed"), "{refused}");
    });
}

#[test]
fn l3_an_agreement_with_another_serial_does_not_count() {
    let served = Served::new(1, 1);
    let peer = served.peer();
    let mut board = open(&peer);
    register(&peer, 300);
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| served.partition.add(HardwareId(1)));
        let (entry, _) = next(&mut board);
        // Frees the place, and agrees to nothing.
        board.skip(entry);
        let refused = adding.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("no answer in"), "{refused}");
    });
}

#[test]
fn l3_who_closes_the_connection_and_then_agrees_on_the_board_does_not_agree() {
    let served = Served::new(1, 1);
    for _ in 0..20 {
        let peer = served.peer();
        let mut board = open(&peer);
        register(&peer, 600_000);
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| served.partition.add(HardwareId(1)));
            let (entry, _) = next(&mut board);
            drop(peer);
            board.agree(entry);
            let refused = adding.join().unwrap().unwrap_err();
            assert!(refused.to_string().contains("its connection was closed"), "{refused}");
        });
    }
}

#[test]
fn d3_who_deregisters_before_it_closes_the_connection_refuses_nothing() {
    for agrees in [true, false] {
        let served = Served::new(1, 1);
        let peer = served.peer();
        let mut board = open(&peer);
        let party = register(&peer, 600_000);
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| served.partition.add(HardwareId(1)));
            let (entry, _) = next(&mut board);
            let () = peer.call("Deregister", &(party,)).unwrap();
            if agrees {
                board.agree(entry);
            }
            drop(peer);
            let outcome = adding.join().unwrap();
            outcome.expect("it has left");
        });
    }
}

#[test]
fn l3_an_agreement_after_the_service_has_ended_does_not_count() {
    for agrees in [true, false] {
        let served = Served::new(1, 1);
        let peer = served.peer();
        let mut board = open(&peer);
        register(&peer, 600_000);
        let partition = served.partition.clone();
        let adding = std::thread::spawn(move || partition.add(HardwareId(1)));
        let (entry, _) = next(&mut board);
        let _served = served.end_service();
        if agrees {
            board.agree(entry);
        }
        let refused = adding.join().unwrap().unwrap_err();
        assert!(refused.to_string().contains("no longer served"), "{refused}");
    }
}

#[test]
fn r3_a_replay_is_posted_ahead_and_each_driver_hears_it_in_order() {
    let served = Served::new(100, 1);
    let there = Partition::connect(&served.path).unwrap();
    let (said, heard) = mpsc::channel();
    let driver = move |notice: &Notice| {
        assert!(notice.is_replay() || notice.processor().id == HardwareId(100));
        said.send((notice.state(), notice.processor().id.0)).unwrap();
        Ok(())
    };
    let _registration = there.register("pool", driver).unwrap();
    let started = (0..100).map(|id| (State::AddStart, id));
    let completed = (0..100).map(|id| (State::AddComplete, id));
    assert!(heard.try_iter().eq(started.chain(completed)), "R3: all Starts, then all Completes");
    served.partition.add(HardwareId(100)).unwrap();
    assert!(heard.try_iter().eq([(State::AddStart, 100), (State::AddComplete, 100)]));
}

#[test]
fn r4_a_driver_that_refuses_in_a_replay_does_not_hear_what_was_posted_behind() {
    let served = Served::new(40, 1);
    let there = Partition::connect(&served.path).unwrap();
    for refused in [0, 1, 5, 15, 16, 17, 39] {
        let (said, heard) = mpsc::channel();
        let driver = move |notice: &Notice| {
            said.send((notice.state(), notice.processor().id.0)).unwrap();
            if notice.state().may_veto() && notice.processor().id.0 == refused {
                return Err(Veto::new(Status::NO_MEMORY, "not this one"));
            }
            Ok(())
        };
        let error = there.register("pool", driver).unwrap_err();
        assert!(error.to_string().contains("not this one"), "{error}");
        let started = (0..=refused).map(|id| (State::AddStart, id));
        let failed = (0..refused).map(|id| (State::AddFailure, id));
        let heard: Vec<_> = heard.try_iter().collect();
        assert!(heard.iter().copied().eq(started.chain(failed)), "refused {refused}: {heard:?}");
    }
    // The board is as before.
    let _registration = there.register("pool", |_: &Notice| Ok(())).unwrap();
    served.partition.add(HardwareId(40)).unwrap();
}

#[test]
fn l3_the_time_limit_of_a_call_that_was_posted_ahead_begins_when_the_last_one_was_answered() {
    let served = Served::new(20, 1);
    let there = Partition::connect(&served.path).unwrap();
    let limit = Duration::from_secs(1);
    // Less than the limit for each processor, but more for all that are posted at once.
    let driver = |notice: &Notice| {
        if notice.state().may_veto() {
            std::thread::sleep(Duration::from_millis(80));
        }
        Ok(())
    };
    let _registration = there.registration("slow").time_limit(limit).register(driver).unwrap();
}

#[test]
fn l3_a_process_that_dies_in_a_replay_is_not_registered() {
    let served = Served::new(40, 1);
    let peer = served.peer();
    let mut board = open(&peer);
    let path = zbus::zvariant::ObjectPath::try_from("/org/hotadd/Agent/1").unwrap();
    peer.begin("Register", &(path, "pool", wire::BOARD, 0_i32, 600_000_u32));
    for nth in 0..3 {
        let (entry, call) = next(&mut board);
        assert_eq!(call.notice.processor().id, HardwareId(nth));
        // The first depends on no other. Those that are posted while it has no answer do.
        assert_eq!(call.chained, nth > 0);
        board.agree(entry);
    }
    drop(peer);
    let refused = served.wait(|event| event.kind == EventKind::Veto);
    // Perhaps it has gone before the partition has looked at its answers. They do not count then.
    assert!(refused.id <= Some(HardwareId(3)), "{refused:?}");
    served.partition.add(HardwareId(40)).unwrap();
    drop(served.wait(|event| event.kind == EventKind::Joined));
}
