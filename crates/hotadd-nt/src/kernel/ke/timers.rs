//! Timers. One thread lets them expire. A timer's DPC runs on the DPC's target processor, or on the processor that
//! set the timer.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use hotadd::ProcessorIndex;
use parking_lot::{Condvar, MutexGuard};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::{Dpc, Header, Kind, Timer};
use crate::ground::types::Boolean;
use crate::kernel::ke::dispatch::{self, Dispatcher};
use crate::kernel::ke::dpc::Queued;
use crate::kernel::ke::{dpc, irql, waits};

nt! {
    /// Initialises a timer that stays set after it has expired.
    fn KeInitializeTimer(timer: Shared<Timer>) { initialize(timer.get(), 0) }

    /// Initialises a timer: 0 for one that stays set, 1 for one that releases one wait.
    fn KeInitializeTimerEx(timer: Shared<Timer>, kind: i32) { initialize(timer.get(), kind) }

    /// Sets a timer. Returns whether it was set already.
    fn KeSetTimer(timer: Shared<Timer>, due: i64, dpc: Shared<Dpc>) -> Boolean {
        set(timer.get(), due, 0, dpc.get_if_any())
    }

    /// Sets a timer that expires again every `period` milliseconds after the first time, or only once (0). Returns
    /// whether it was set already.
    fn KeSetTimerEx(timer: Shared<Timer>, due: i64, period: i32, dpc: Shared<Dpc>) -> Boolean {
        set(timer.get(), due, period, dpc.get_if_any())
    }

    /// The same. The tolerance would allow a later expiry, and is not used.
    fn KeSetCoalescableTimer(
        timer: Shared<Timer>, due: i64, period: u32, _tolerance: u32, dpc: Shared<Dpc>,
    ) -> Boolean {
        set(timer.get(), due, i32::try_from(period).unwrap_or(i32::MAX), dpc.get_if_any())
    }

    /// Stops a timer. Returns whether it was set. If its DPC is queued already, the DPC still runs.
    fn KeCancelTimer(timer: Shared<Timer>) -> Boolean { Boolean::from(cancel(timer.get())) }

    /// Whether a timer has expired.
    fn KeReadStateTimer(timer: Shared<Timer>) -> Boolean {
        Boolean::from(timer.get().header.state() > 0)
    }
}

/// The timers that are set, under the dispatcher's lock.
#[derive(Default)]
pub(crate) struct Timers {
    /// Sorted by due time, and then by the order of setting.
    due: BTreeMap<(Instant, u64), Running>,
    /// The key in `due` of each timer, by address.
    places: HashMap<usize, (Instant, u64)>,
    last: u64,
    /// Whether the thread was created.
    begun: bool,
}

/// A timer that is set.
struct Running {
    timer: Shared<'static, Timer>,
    period: Duration,
    dpc: Option<Shared<'static, Dpc>>,
    /// The processor on which it was set.
    from: ProcessorIndex,
    /// Whether its DPC could not be queued at its last expiry.
    refused: bool,
}

/// Notified when another timer becomes the first.
static CHANGED: Condvar = Condvar::new();

impl Timers {
    fn insert(&mut self, due: Instant, running: Running) {
        self.last += 1;
        let place = (due, self.last);
        self.places.insert(running.timer.address(), place);
        self.due.insert(place, running);
    }

    fn remove(&mut self, timer: usize) -> bool {
        let place = self.places.remove(&timer);
        place.and_then(|place| self.due.remove(&place)).is_some()
    }

    /// How many timers are set.
    pub(crate) fn count(&self) -> usize {
        self.places.len()
    }

    /// How many set timers lie in this address range.
    pub(crate) fn within(&self, range: &Range<usize>) -> usize {
        self.places.keys().filter(|timer| range.contains(timer)).count()
    }
}

fn initialize(timer: &Timer, kind: i32) {
    let kind = if kind == 1 { Kind::SynchronizationTimer } else { Kind::NotificationTimer };
    let mut dispatcher = dispatch::lock();
    dispatcher.timers.remove(timer.header.address());
    timer.header.initialize(kind, 0);
}

fn set(timer: &Timer, due: i64, period: i32, dpc: Option<&Dpc>) -> Boolean {
    if !is_timer(&timer.header) {
        let address = timer.header.address();
        caller::fault(format!("sets the timer at {address:#x}, which was not initialised"));
    }
    let running = Running {
        // SAFETY: a driver keeps a timer as long as it is set.
        timer: unsafe { Shared::keep(timer) },
        period: Duration::from_millis(u64::try_from(period).unwrap_or(0)),
        // SAFETY: a driver keeps a timer's DPC as long as the timer is set.
        dpc: dpc.map(|dpc| unsafe { Shared::keep(dpc) }),
        from: irql::here(),
        refused: false,
    };
    let due = waits::due(due);
    let mut dispatcher = dispatch::lock();
    let was = dispatcher.timers.remove(timer.header.address());
    timer.header.set_state(0);
    // A due time too far ahead to be represented never comes.
    if let Some(due) = due {
        dispatcher.timers.insert(due, running);
        begin(&mut dispatcher);
    }
    Boolean::from(was)
}

fn is_timer(header: &Header) -> bool {
    matches!(header.kind(), Some(Kind::NotificationTimer | Kind::SynchronizationTimer))
}

fn cancel(timer: &Timer) -> bool {
    dispatch::lock().timers.remove(timer.header.address())
}

/// Wakes the thread, or creates it.
fn begin(dispatcher: &mut MutexGuard<'_, Dispatcher>) {
    if dispatcher.timers.begun {
        CHANGED.notify_one();
        return;
    }
    dispatcher.timers.begun = true;
    let thread = std::thread::Builder::new().name("timers".to_owned());
    if let Err(error) = thread.spawn(run) {
        caller::fault(format!("sets a timer, but no thread can be started for it: {error}"));
    }
}

fn run() {
    let mut dispatcher = dispatch::lock();
    loop {
        match dispatcher.timers.due.first_key_value().map(|((due, _), _)| *due) {
            None => CHANGED.wait(&mut dispatcher),
            Some(due) if due > Instant::now() => {
                CHANGED.wait_until(&mut dispatcher, due);
            }
            Some(_) => {
                if let Some(index) = expire(&mut dispatcher) {
                    let what = format!(
                        "a timer's DPC targets processor {index}, which has not joined (A5): it does not run"
                    );
                    MutexGuard::unlocked(&mut dispatcher, || caller::breach(&what));
                }
            }
        }
    }
}

/// Lets the first timer expire. Returns the index of its DPC's processor if the DPC cannot be queued there now and
/// could be the last time.
fn expire(dispatcher: &mut Dispatcher) -> Option<u16> {
    let ((due, _), mut running) = dispatcher.timers.due.pop_first()?;
    dispatcher.timers.places.remove(&running.timer.address());
    let (timer, dpc) = (running.timer.get(), running.dpc.map(Shared::get));
    timer.header.set_state(1);
    dispatcher.offer(&timer.header);
    // A DPC that is still queued from the previous period is not queued twice.
    let queued = dpc.map(|dpc| dpc::insert(dpc, [0, 0], Some(running.from)));
    let refused = match queued {
        Some(Queued::NotJoined(index)) => Some(index),
        _ => None,
    };
    let told = running.refused;
    running.refused = refused.is_some();
    if !running.period.is_zero() {
        // If several expiries were missed, for example while this machine was suspended, one is made up for.
        let next = (due + running.period).max(Instant::now());
        dispatcher.timers.insert(next, running);
    }
    refused.filter(|_| !told)
}
