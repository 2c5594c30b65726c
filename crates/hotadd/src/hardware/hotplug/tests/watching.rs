//! The watcher's thread: when it nudges, and that it ends. Also the wait for a new processor to settle.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::super::fake::{Fake, Way};
use super::super::kernel::Errno;
use super::super::{Hotplug, HotplugOptions};
use crate::hardware::watch::Watcher;
use crate::hardware::{Hardware, Nudge, Nudged};
use crate::{EventKind, HardwareId, Partition};

const ONE: HardwareId = HardwareId(1);

/// Longer than any step takes.
const LONG: Duration = Duration::from_secs(20);

struct Listener(Mutex<Sender<()>>);

impl Nudged for Listener {
    fn nudge(&self) {
        self.0.lock().unwrap().send(()).unwrap();
    }
}

fn hotplug(fake: &Fake, poll: Duration) -> Arc<Hotplug> {
    let options = HotplugOptions::new().poll(poll);
    Arc::new(Hotplug::on(Arc::new(fake.clone()), options).unwrap())
}

/// The shortest polling interval, so that only the poll can find the change.
const OFTEN: Duration = Duration::ZERO;

#[test]
fn q3_x2_an_event_leads_to_a_report_before_the_next_poll() {
    let fake = Fake::new("0-1", "0-1", "0");
    let partition = Partition::from_hardware(hotplug(&fake, Duration::MAX)).unwrap();
    let (sender, events) = channel();
    let observation = partition.observe(move |event| {
        let kind = matches!(event.kind, EventKind::Joined | EventKind::Left);
        kind.then(|| sender.send((event.kind, event.agreed, event.surprise)).unwrap());
    });
    let _observation = observation.unwrap();
    fake.world().switch(1, true, Way::Switch);
    let joined = events.recv_timeout(LONG).expect("there is no poll that could have found it");
    assert_eq!(joined, (EventKind::Joined, false, false));
    fake.world().switch(1, false, Way::Switch);
    assert_eq!(events.recv_timeout(LONG).unwrap(), (EventKind::Left, true, true));
}

#[test]
fn q3_the_poll_finds_changes_without_events() {
    let fake = Fake::new("0-1", "0-1", "0");
    fake.world().deaf = true;
    let partition = Partition::from_hardware(hotplug(&fake, OFTEN)).unwrap();
    let (sender, events) = channel();
    let observation = partition.observe(move |event| sender.send(event.kind).unwrap());
    let _observation = observation.unwrap();
    fake.world().switch(1, true, Way::Switch);
    assert_eq!(events.recv_timeout(LONG), Ok(EventKind::Breach));
    assert_eq!(events.recv_timeout(LONG), Ok(EventKind::Joined));
}

#[test]
fn x2_a_closed_uevent_socket_is_opened_again() {
    let fake = Fake::new("0-1", "0-1", "0-1");
    let partition = Partition::from_hardware(hotplug(&fake, OFTEN)).unwrap();
    let (sender, events) = channel();
    let observation = partition.observe(move |event| {
        (event.kind == EventKind::Left).then(|| sender.send(()).unwrap());
    });
    let _observation = observation.unwrap();
    fake.world().send(Err(Errno::BADF));
    // Only events reveal a blink, and events without a listener are lost.
    let began = Instant::now();
    while events.try_recv().is_err() {
        assert!(began.elapsed() < LONG, "no watcher listens");
        fake.world().switch(1, false, Way::Switch);
        fake.world().switch(1, true, Way::Switch);
        std::thread::yield_now();
    }
}

#[test]
fn the_watcher_nudges_on_a_change_and_ends_with_the_backend() {
    let fake = Fake::new("0-1", "0-1", "0-1");
    let hotplug = hotplug(&fake, Duration::MAX);
    let active = hotplug.active().unwrap();
    let (sender, nudges) = channel();
    let listener: Arc<dyn Nudged> = Arc::new(Listener(Mutex::new(sender)));
    hotplug.clone().watch(Nudge(Arc::downgrade(&listener)));
    fake.world().switch(1, false, Way::Switch);
    nudges.recv_timeout(LONG).expect("a nudge for the event");
    assert_eq!(hotplug.survey(&active).vanished, [HardwareId(1)]);
    assert!(Arc::weak_count(&listener) > 0, "the watcher still runs");
    drop(hotplug);
    // The watcher's nudge handle is dropped with it.
    let dropped = Instant::now();
    while Arc::weak_count(&listener) > 0 {
        assert!(dropped.elapsed() < LONG, "the watcher still runs");
        std::thread::yield_now();
    }
}

/// A backend whose watcher has received the add event of processor 1, and no event that it has settled.
fn plugged(binds_last: bool, bound: Duration) -> (Fake, Arc<Hotplug>, Watcher) {
    let fake = Fake::new("0-1", "0", "0");
    fake.world().binds_last = binds_last;
    let mut options = HotplugOptions::new();
    options.quiet = bound;
    let hotplug = Arc::new(Hotplug::on(Arc::new(fake.clone()), options).unwrap());
    hotplug.active().unwrap();
    let mut watcher = Watcher::new(&*hotplug);
    fake.world().plug(1);
    let bind = fake.world().take_last();
    assert!(watcher.look(&*hotplug), "it could be added");
    fake.world().send(bind);
    (fake, hotplug, watcher)
}

#[test]
fn a_start_waits_for_the_bind_event_where_it_comes_last() {
    let (fake, hotplug, mut watcher) = plugged(true, LONG * 100);
    let told = Arc::new(AtomicBool::new(false));
    let at_write = Arc::clone(&told);
    fake.world().before = Some(Box::new(move |_| {
        assert!(at_write.load(Ordering::SeqCst), "written before the bind was heard");
    }));
    let start = std::thread::spawn({
        let hotplug = Arc::clone(&hotplug);
        move || hotplug.start(ONE)
    });
    told.store(true, Ordering::SeqCst);
    watcher.look(&*hotplug);
    assert_eq!(start.join().unwrap(), Ok(()), "without the bind event the wait would take an hour");
}

#[test]
fn a_start_does_not_wait_where_no_bind_event_comes() {
    let (_fake, hotplug, _watcher) = plugged(false, LONG * 100);
    assert_eq!(hotplug.start(ONE), Ok(()), "else this would take half an hour");
}

#[test]
fn a_start_waits_at_most_the_bound_for_a_missing_bind_event() {
    let (fake, hotplug, _watcher) = plugged(true, Duration::from_millis(20));
    let written = Arc::new(Mutex::new(None));
    let at_write = Arc::clone(&written);
    fake.world().before = Some(Box::new(move |_| *at_write.lock().unwrap() = Some(Instant::now())));
    hotplug.start(ONE).unwrap();
    let written = written.lock().unwrap().unwrap();
    assert_eq!(hotplug.lock().fresh.left(ONE, written), None, "written before the time was up");
}

#[test]
fn a4_a_processor_pulled_while_a_start_waits_is_a_failed_start() {
    let (fake, hotplug, mut watcher) = plugged(true, LONG * 100);
    fake.world().lose();
    fake.world().pull(1);
    let start = std::thread::spawn({
        let hotplug = Arc::clone(&hotplug);
        move || hotplug.start(ONE)
    });
    watcher.look(&*hotplug);
    assert_eq!(start.join().unwrap().unwrap_err().errno, Some(crate::Errno::ENOENT));
}
