//! The Rust client against the real service: the same driver registers here and there, and the contract holds between them.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hotadd::{
    Driver, Error, EventKind, HardwareId, Notice, Partition, Removal, State, Status, Veto,
};
use hotadd_service::{Log, Service};

use crate::common::endless::Endless;
use crate::common::{PATIENCE, Served};

/// The calls of all drivers, in order.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock().unwrap()).join(", ")
    }

    fn driver(&self, name: &'static str) -> Recorder {
        Recorder { name, heard: self.clone(), refuses: None, meets: None, inside: None }
    }
}

/// Writes down what it hears.
struct Recorder {
    name: &'static str,
    heard: Heard,
    /// Refuses this one.
    refuses: Option<u32>,
    /// Tells of each AddStart behind the replay, and waits for leave to answer.
    meets: Option<(Sender<()>, std::sync::mpsc::Receiver<()>)>,
    /// Looks at this.
    inside: Option<Partition>,
}

impl Driver for Recorder {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.write(notice);
        if let Some((met, leave)) = self.meets.as_ref().filter(|_| notice.processor().id.0 > 1) {
            met.send(()).unwrap();
            // A test that fails drops the registration first, which waits for this callback.
            let _ = leave.recv_timeout(PATIENCE);
        }
        if self.refuses == Some(notice.processor().id.0) {
            return Err(Veto::new(Status::INSUFFICIENT_RESOURCES, "no room"));
        }
        Ok(())
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.write(notice);
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.write(notice);
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }
}

impl Removal for Recorder {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.write(notice);
        Ok(())
    }

    fn remove_complete(&mut self, notice: &Notice) {
        self.write(notice);
    }
}

impl Recorder {
    fn write(&self, notice: &Notice) {
        let mut line = format!("{} {} {}", self.name, notice.state(), notice.processor().id);
        if let Some(partition) = &self.inside {
            line += &format!(" of {}", partition.count());
        }
        self.heard.0.lock().unwrap().push(line);
    }
}

/// Waits for something that no signal announces.
fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !what() {
        assert!(Instant::now() < deadline, "it did not come to that");
        // The pause only leaves the processor to those that are waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

fn connect(served: &Served) -> Partition {
    Partition::connect(&served.path).unwrap()
}

/// Another service of the same partition, at the same place.
fn again(served: &Served) -> Service {
    let log: Log = Arc::new(|_: &str| ());
    let service = Service::new(&served.partition, "demo", log).unwrap();
    service.open(&served.path).unwrap();
    service
}

#[test]
fn d1_a_driver_is_dropped_when_its_registration_was_and_is_not_called_again() {
    let served = Served::new(2, 2);
    let there = connect(&served);
    let heard = Heard::default();
    let (met, meets) = channel();
    let (go, leave) = channel();
    let driver = Recorder { meets: Some((met, leave)), ..heard.driver("d") };
    let registration = there.register("d", driver).unwrap();
    heard.take();
    let adder = served.adder();
    thread::scope(|scope| {
        let adding = scope.spawn(move || adder.add(HardwareId(2)));
        meets.recv().unwrap();
        let dropping = scope.spawn(|| drop(registration));
        go.send(()).unwrap();
        dropping.join().unwrap();
        // The driver and its ends of the channels are gone.
        assert!(go.send(()).is_err());
        adding.join().unwrap().unwrap();
    });
    served.partition.add(HardwareId(3)).unwrap();
    assert!(heard.take().starts_with("d AddStart 2"));
    until(|| there.count() == 4);
}

#[test]
fn a5_the_number_of_threads_follows_a_partition_in_another_process() {
    let served = Served::new(2, 2);
    let there = connect(&served);
    let number = Arc::new(there.parallelism());
    assert_eq!(number.get().get(), 2);
    let (to, told) = channel();
    let on_change =
        number.on_change(move |limits| to.send(limits.number.get()).unwrap_or_default());
    on_change.detach();
    served.partition.add(HardwareId(2)).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(3), "although no driver of this process is asked");

    let (to, heard) = channel();
    let asks = Arc::clone(&number);
    let driver = move |notice: &Notice| {
        let _ = to.send((notice.processor().id.0, notice.state(), asks.get().get()));
        Ok(())
    };
    let registration = there.registration("pool").without_replay().register(driver).unwrap();
    served.partition.add(HardwareId(3)).unwrap();
    let heard = || heard.recv_timeout(PATIENCE).unwrap();
    assert_eq!(heard(), (3, State::AddStart, 3));
    assert_eq!(heard(), (3, State::AddComplete, 4), "it counts in its AddComplete");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(4));
    served.partition.remove(HardwareId(3)).unwrap();
    assert_eq!(told.recv_timeout(PATIENCE), Ok(3));
    drop(registration);
}

#[test]
fn the_shape_of_simulated_processors_in_another_process_is_not_known() {
    let served = Served::new(1, 0);
    let topology = connect(&served).topology(HardwareId(0));
    assert_eq!(topology, hotadd::Topology::default(), "this machine's processor 0 is another one");
}

#[test]
fn l3_one_that_is_too_slow_comes_back_and_what_it_agreed_to_too_late_fails() {
    let served = Served::new(2, 1);
    let there = connect(&served);
    let heard = Heard::default();
    let (met, meets) = channel();
    let (go, leave) = channel();
    let driver = Recorder { meets: Some((met, leave)), ..heard.driver("d") };
    let limit = Duration::from_millis(50);
    let registration = there.registration("d").time_limit(limit).register(driver).unwrap();
    heard.take();
    let first = registration.party().id;
    let error = served.partition.add(HardwareId(2)).unwrap_err();
    assert_eq!(error.status(), Status::IO_TIMEOUT);
    meets.recv().unwrap();
    go.send(()).unwrap();
    served.wait(|event| {
        event.kind == EventKind::Registered && event.party.as_ref().unwrap().id != first
    });
    until(|| registration.party().id.0 > first.0);
    until(|| heard.0.lock().unwrap().len() == 2);
    assert_eq!(heard.take(), "d AddStart 2, d AddFailure 2");
    assert!(registration.is_registered());
}

#[test]
fn a_service_that_restarts_is_found_again_and_nothing_is_told_twice() {
    let served = Served::new(2, 2);
    let there = connect(&served);
    let heard = Heard::default();
    let registration = there.register("d", heard.driver("d")).unwrap();
    heard.take();
    let served = served.end_service();
    until(|| !there.is_connected());
    // Nobody is missing any more, so it joins; the driver hears of it as soon as it is back.
    until(|| served.partition.candidates().unwrap().contains(&HardwareId(2)));
    served.partition.add(HardwareId(2)).unwrap();
    let _service = again(&served);
    served.wait(|event| event.kind == EventKind::Registered);
    until(|| heard.0.lock().unwrap().len() >= 2 && there.is_connected());
    assert_eq!(there.add(HardwareId(3)).unwrap().processor.id, HardwareId(3));
    assert_eq!(heard.take(), "d AddStart 2, d AddComplete 2, d AddStart 3, d AddComplete 3");
    assert_eq!(there.count(), 4);
    registration.deregister().unwrap();
}

#[test]
fn a_connection_lost_in_the_middle_of_an_add_is_reconciled_once() {
    for joins in [false, true] {
        let served = Served::new(2, 1);
        let there = connect(&served);
        let heard = Heard::default();
        let (met, meets) = channel();
        let (go, leave) = channel();
        let driver = Recorder { meets: Some((met, leave)), ..heard.driver("d") };
        let registration = there.register("d", driver).unwrap();
        heard.take();
        let adder = served.adder();
        let adding = thread::spawn(move || adder.add(HardwareId(2)));
        meets.recv().unwrap();
        let served = served.end_service();
        // The party that has left has vetoed.
        assert!(matches!(adding.join().unwrap(), Err(Error::Vetoed { .. })));
        if joins {
            until(|| served.partition.add(HardwareId(2)).is_ok());
        }
        // It agrees only now, and its answer is dropped.
        go.send(()).unwrap();
        let _service = again(&served);
        served.wait(|event| event.kind == EventKind::Registered && event.party.is_some());
        until(|| registration.is_registered() && heard.0.lock().unwrap().len() >= 2);
        let outcome = if joins { "AddComplete" } else { "AddFailure" };
        assert_eq!(heard.take(), format!("d AddStart 2, d {outcome} 2"));
        drop(go);
        if !joins {
            served.partition.add(HardwareId(2)).unwrap();
            assert_eq!(heard.take(), "d AddStart 2, d AddComplete 2");
        }
        registration.deregister().unwrap();
    }
}

#[test]
fn observers_there_hear_what_everybody_may_know() {
    let served = Served::new(1, 2);
    let there = connect(&served);
    let (sender, events) = channel();
    let counts = there.clone();
    let mut counts = Some(counts);
    let seen = move |event: &hotadd::Event| {
        let count = counts.as_ref().map(Partition::count);
        if event.kind == EventKind::Left {
            counts = None;
        }
        sender.send((event.clone(), count)).unwrap();
    };
    let mut present = Vec::new();
    let _here = served.partition.register("here", |_: &Notice| Ok(())).unwrap();
    there
        .observe_with(|parties| present.extend(parties.iter().map(|p| p.name.clone())), seen)
        .unwrap()
        .detach();
    assert_eq!(present, ["here"]);
    served.partition.add(HardwareId(1)).unwrap();
    served.partition.add(HardwareId(1)).unwrap_err();
    served.partition.remove(HardwareId(1)).unwrap();
    let next = || events.recv_timeout(PATIENCE).unwrap();
    let (joined, count) = next();
    assert_eq!((joined.kind, joined.id), (EventKind::Joined, Some(HardwareId(1))));
    assert!(count.is_some());
    assert_eq!(next().0.kind, EventKind::Refused);
    let (left, _) = next();
    assert_eq!((left.kind, left.surprise), (EventKind::Left, false));
    until(|| there.count() == 1);
    assert_eq!(left.epoch, there.epoch());
}

#[test]
fn a_driver_that_comes_over_a_socket_pair_is_one_like_any_other() {
    let served = Served::new(1, 1);
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    served.service().attach(theirs, None).unwrap();
    let there = Partition::connect_over(ours).unwrap();
    let heard = Heard::default();
    let _registration = there.register("d", heard.driver("d")).unwrap();
    served.partition.add(HardwareId(1)).unwrap();
    assert!(heard.take().ends_with("d AddStart 1, d AddComplete 1"));
}

#[test]
fn an_agent_connects_and_registers_while_the_platform_is_busy() {
    let hardware = Arc::<Endless>::default();
    let partition = Partition::from_hardware(hardware.clone()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    let _service = Service::listen(&partition, "demo", &path).unwrap();
    let held = hardware.busy.lock().unwrap();
    let there = Partition::connect(&path).unwrap();
    assert_eq!(there.count(), 1);
    let heard = Heard::default();
    let registration = there.register("pool", heard.driver("pool")).unwrap();
    assert!(registration.is_registered(), "{}", heard.take());
    drop(held);
    assert_eq!(there.candidates().unwrap(), [HardwareId(2)]);
}
