//! A driver that is called from another process: the contract holds for it as for a local one.

use std::sync::mpsc;
use std::thread;

use hotadd::{Driver, EventKind, HardwareId, Notice, Partition, Registration, State, Status, Veto};
use hotadd_wire as wire;

use crate::fake::{FIRST, Fake, Log, SECOND, at, both, pair, set};

/// Registers one driver that the partition admits as 7.
fn register(
    fake: &mut Fake,
    partition: &Partition,
    driver: impl Driver + Send + 'static,
) -> Registration {
    let (_, registration) = both(|| fake.admit(FIRST, 7), || partition.register("pool", driver));
    registration.unwrap()
}

#[test]
fn r3_the_replay_is_complete_when_registering_returns() {
    let (mut fake, partition) = pair(2);
    let log = Log::default();
    let registration = register(&mut fake, &partition, log.driver("d"));
    assert_eq!(log.take(), "d AddStart 0, d AddStart 1, d AddComplete 0, d AddComplete 1");
    assert_eq!(registration.party().id.0, 7);
    assert_eq!(registration.epoch().0, 1);
    assert!(registration.is_registered());
    assert_eq!(partition.hardware(), "fake");
    let ((), candidates) = both(|| fake.give_candidates(), || partition.candidates().unwrap());
    both(|| leave(&mut fake, 7), || drop(registration));
    assert_eq!(candidates, [HardwareId(6)], "the other candidate joined before the list was read");
}

/// Answers Deregister.
fn leave(fake: &mut Fake, party: u64) {
    let request = fake.request("Deregister");
    assert_eq!(request.body().deserialize::<u64>().unwrap(), party);
    fake.reply(&request, &());
}

#[test]
fn r4_a_driver_that_refuses_an_active_processor_is_not_registered() {
    let (mut fake, partition) = pair(2);
    let log = Log::default();
    let mut inner = log.driver("d");
    let driver = move |notice: &Notice| {
        inner.notify(notice)?;
        if notice.state() == State::AddStart && notice.processor().id == HardwareId(1) {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no memory\0"));
        }
        Ok(())
    };
    let (_, refused) = both(
        || {
            let request = fake.request("Register");
            assert_eq!(fake.tell(FIRST, 1, State::AddStart, 0), Ok(()));
            let (name, reason) = fake.tell(FIRST, 1, State::AddStart, 1).unwrap_err();
            assert_eq!(name, wire::veto_error(Status::INSUFFICIENT_RESOURCES));
            assert_eq!(reason, "no memory\u{FFFD}");
            assert_eq!(fake.tell(FIRST, 1, State::AddFailure, 0), Ok(()));
            let status = Status::INSUFFICIENT_RESOURCES.to_raw();
            fake.refuse(&request, "NotJoining", &(reason, status, 0, 1, "pool".to_owned()));
        },
        || partition.register("pool", driver).unwrap_err(),
    );
    assert_eq!(log.take(), "d AddStart 0, d AddStart 1, d AddFailure 0");
    assert_eq!(refused.clause(), "R4");
    assert_eq!(refused.party().unwrap().name, "pool");
    assert_eq!(refused.status(), Status::INSUFFICIENT_RESOURCES);
}

#[test]
fn a5_queries_inside_a_callback_match_its_notice() {
    let (mut fake, partition) = pair(2);
    let (log, inside) = (Log::default(), partition.clone());
    let writes = log.clone();
    let registration = register(&mut fake, &partition, move |notice: &Notice| {
        let set = inside.active();
        writes.write(format!(
            "{} {}: {} of {}, {}",
            notice.state(),
            notice.processor().id,
            if set.contains(notice.processor().index) { "one" } else { "not one" },
            inside.count(),
            set.by_id(HardwareId(2)) == Some(at(2)),
        ));
        Ok(())
    });
    log.take();
    fake.set = set(1, 2, true);
    fake.tell(FIRST, 7, State::AddStart, 2).unwrap();
    fake.set = set(2, 3, false);
    fake.tell(FIRST, 7, State::AddComplete, 2).unwrap();
    assert_eq!(log.take(), "AddStart 2: not one of 2, true, AddComplete 2: one of 3, true");
    assert_eq!((partition.epoch().0, partition.count()), (2, 3));
    both(|| leave(&mut fake, 7), || drop(registration));
}

#[test]
fn a5_the_names_of_a_processor_that_did_not_join_are_forgotten() {
    let (mut fake, partition) = pair(1);
    let registration = register(&mut fake, &partition, Log::default().driver("d"));
    fake.set = set(1, 1, true);
    fake.tell(FIRST, 7, State::AddStart, 1).unwrap();
    assert_eq!(partition.active().by_id(HardwareId(1)), Some(at(1)));
    fake.set = set(1, 1, false);
    fake.tell(FIRST, 7, State::AddFailure, 1).unwrap();
    assert_eq!(partition.active().by_id(HardwareId(1)), None);
    both(|| leave(&mut fake, 7), || drop(registration));
}

#[test]
fn a7_all_callbacks_run_on_one_thread_that_may_block_on_a_runtime() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let mut both_registrations = Vec::new();
    for (path, party) in [(FIRST, 1), (SECOND, 2)] {
        let writes = log.clone();
        let driver = move |_: &Notice| {
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let name = thread::current().name().unwrap_or_default().to_owned();
            runtime.block_on(async { writes.write(name) });
            Ok(())
        };
        let (_, registration) =
            both(|| fake.admit(path, party), || partition.register("p", driver));
        both_registrations.push(registration.unwrap());
    }
    assert_eq!(log.take(), ["hotadd-agent"; 4].join(", "));
    both(
        || {
            leave(&mut fake, 1);
            leave(&mut fake, 2);
        },
        || drop(both_registrations),
    );
}

#[test]
fn two_drivers_of_one_connection_are_distinguished_by_their_paths() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let (_, first) = both(|| fake.admit(FIRST, 1), || partition.register("a", log.driver("a")));
    let (_, second) = both(|| fake.admit(SECOND, 2), || partition.register("b", log.driver("b")));
    log.take();
    fake.set = set(1, 1, true);
    fake.tell(SECOND, 2, State::AddStart, 1).unwrap();
    fake.tell(FIRST, 1, State::AddStart, 1).unwrap();
    let (name, _) = fake.tell(FIRST, 2, State::AddComplete, 1).unwrap_err();
    assert!(name.ends_with("InvalidArgs"), "another party's number: {name}");
    assert_eq!(log.take(), "b AddStart 1, a AddStart 1");
    both(
        || {
            leave(&mut fake, 1);
            leave(&mut fake, 2);
        },
        || drop((first, second)),
    );
}

#[test]
fn d1_dropping_a_registration_waits_for_the_callback_and_for_the_partition() {
    let (mut fake, partition) = pair(1);
    let (entered, enters) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let log = Log::default();
    let mut inner = log.driver("d");
    let mut replayed = 0;
    let registration = register(&mut fake, &partition, move |notice: &Notice| {
        replayed += 1;
        if replayed > 2 {
            entered.send(()).unwrap();
            gate.recv().unwrap();
        }
        inner.notify(notice)
    });
    log.take();
    fake.set = set(1, 1, true);
    let call = fake.notice(FIRST, 7, &Notice::new(State::AddStart, at(1)));
    enters.recv().unwrap();
    let writes = log.clone();
    let dropper = thread::spawn(move || {
        drop(registration);
        writes.write("dropped");
    });
    go.send(()).unwrap();
    fake.answer(&call).unwrap();
    let request = fake.request("Deregister");
    // The add continues, and the driver is told its outcome (D1): the partition answers only afterwards.
    go.send(()).unwrap();
    fake.set = set(2, 2, false);
    fake.tell(FIRST, 7, State::AddComplete, 1).unwrap();
    fake.reply(&request, &());
    dropper.join().unwrap();
    assert_eq!(log.take(), "d AddStart 1, d AddComplete 1, dropped");
}

#[test]
fn d3_a_callback_may_deregister_and_query_and_nothing_else() {
    let (mut fake, partition) = pair(1);
    let (log, inside) = (Log::default(), partition.clone());
    let writes = log.clone();
    let (hand_over, takes) = mpsc::channel::<Registration>();
    let first = register(&mut fake, &partition, move |notice: &Notice| {
        if notice.processor().id == HardwareId(1) {
            let id = HardwareId(2);
            for error in [
                inside.add(id).unwrap_err(),
                inside.remove(id).unwrap_err(),
                inside.rehearse(id).unwrap_err(),
                inside.register("x", |_: &Notice| Ok(())).unwrap_err(),
                inside.observe(|_| ()).map(drop).unwrap_err(),
                inside.add_batch(&[id], hotadd::Batch::Atomic).remove(0).1.unwrap_err(),
            ] {
                assert_eq!((error.status(), error.clause()), (Status::POSSIBLE_DEADLOCK, "D3"));
            }
            assert_eq!(inside.candidates().unwrap_err().clause(), "D3");
            drop(takes.recv().unwrap());
            writes.write("left");
        }
        Ok(())
    });
    let (_, second) = both(|| fake.admit(SECOND, 8), || partition.register("b", log.driver("b")));
    hand_over.send(second.unwrap()).unwrap();
    log.take();
    fake.set = set(1, 1, true);
    fake.tell(SECOND, 8, State::AddStart, 1).unwrap();
    fake.tell(FIRST, 7, State::AddStart, 1).unwrap();
    // The partition does not know yet that the second driver has left. The agent agrees in its place.
    fake.tell(SECOND, 8, State::AddComplete, 1).unwrap();
    leave(&mut fake, 8);
    assert_eq!(log.take(), "b AddStart 1, left");
    both(|| leave(&mut fake, 7), || drop(first));
}

#[test]
fn l3_a_panic_is_a_veto_and_ends_the_registration() {
    let (mut fake, partition) = pair(1);
    let registration = register(&mut fake, &partition, |notice: &Notice| {
        assert!(notice.processor().id == HardwareId(0), "out of cheese");
        Ok(())
    });
    fake.set = set(1, 1, true);
    let (name, reason) = fake.tell(FIRST, 7, State::AddStart, 1).unwrap_err();
    assert_eq!(name, wire::crash_error(Status::DRIVER_INTERNAL_ERROR));
    assert_eq!(reason, "it panicked: out of cheese");
    leave(&mut fake, 7);
    assert!(!registration.is_registered());
    assert_eq!(registration.deregister().unwrap_err().clause(), "D2");
}

#[test]
fn l3_an_agent_that_the_partition_deregistered_registers_again_and_settles() {
    let (mut fake, partition) = pair(1);
    let log = Log::default();
    let registration = register(&mut fake, &partition, log.driver("d"));
    fake.set = set(1, 1, true);
    fake.tell(FIRST, 7, State::AddStart, 1).unwrap();
    let late = (7_u64, Status::IO_TIMEOUT.to_raw(), "too late");
    let call = fake.call(FIRST, wire::DEREGISTERED, &late);
    fake.answer(&call).unwrap();
    log.take();
    fake.set = set(1, 1, false);
    fake.admit(FIRST, 8);
    // Answered after the reply to Register, so that has been processed.
    let call = fake.call(FIRST, "Nonsense", &());
    fake.answer(&call).unwrap_err();
    assert_eq!(log.take(), "d AddFailure 1 reset");
    assert_eq!(registration.party().id.0, 8);
    both(|| leave(&mut fake, 8), || drop(registration));
}

#[test]
fn q2_an_observer_reads_a_set_at_least_as_new_as_its_event() {
    let (mut fake, partition) = pair(1);
    let (log, mut inside) = (Log::default(), Some(partition.clone()));
    let (writes, (heard, hears)) = (log.clone(), mpsc::channel());
    let observer = move |event: &hotadd::Event| {
        let party = event.party.as_ref().map_or("", |party| &party.name);
        let count = inside.as_ref().unwrap().count();
        writes.write(format!("{} {count} {party}", event.kind.name()));
        if event.kind == EventKind::Breach {
            inside = None;
            heard.send(event.clone()).unwrap();
        }
    };
    partition.observe(observer).unwrap().detach();
    fake.set = set(2, 2, false);
    fake.signal("Joined", &(wire::processor(at(1)), 2_u64, true));
    fake.signal("Refused", &(2_u32, "pool", Status::NO_MEMORY.to_raw(), "no"));
    fake.signal("Left", &(wire::processor(at(1)), 2_u64, true));
    fake.signal("Unknown", &());
    fake.signal("Breach", &("pool", "A6", "it spoke"));
    let (_, breach) = both(
        // Answers GetSet until the handle is dropped.
        || fake.until_closed(),
        || {
            let breach = hears.recv().unwrap();
            drop(partition);
            breach
        },
    );
    assert_eq!(breach.clause, Some("A6"));
    assert_eq!(log.take(), "joined 2 , refused 2 pool, left 2 , breach 2 pool");
}

#[test]
fn d1_a_remote_observer_is_dropped_with_its_handle() {
    let (fake, partition) = pair(1);
    let (heard, hears) = mpsc::channel();
    let observe = |name: &'static str| {
        let heard = heard.clone();
        partition.observe(move |_| heard.send(name).unwrap()).unwrap()
    };
    let (first, second) = (observe("first"), observe("second"));
    fake.signal("Breach", &("pool", "A6", "it spoke"));
    assert_eq!([hears.recv(), hears.recv()], [Ok("first"), Ok("second")]);
    drop(first);
    assert_eq!(partition.observers(), Ok(1), "one observer is left");
    fake.signal("Breach", &("pool", "A6", "it spoke again"));
    assert_eq!(hears.recv(), Ok("second"), "the other observer still gets events");
    second.end_soon();
    assert_eq!(partition.observers(), Ok(0));
    assert!(hears.try_recv().is_err(), "no other event arrived");
    // Also without a connection.
    let third = observe("third");
    drop(fake);
    drop(third);
    assert_eq!(partition.observers(), Ok(0));
}
