//! `KeWaitForSingleObject` and related functions, and their time units.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::ground::declare::nt;
use crate::ground::exception::{Exception, or_fault};
use crate::ground::foreign::{In, Shared};
use crate::ground::objects::Header;
use crate::ground::rule::Rule;
use crate::ground::types::{Boolean, NtStatus};
use crate::ground::{caller, thread};
use crate::kernel::ke::dispatch::{self, Until, Wanted};
use crate::kernel::ke::irql;

/// Units of 100 ns in a second.
const STEPS: i64 = 10_000_000;

/// From the beginning of 1601, the Windows epoch, to that of 1970.
const TO_1970: i64 = 11_644_473_600 * STEPS;

/// The maximum number of objects for one call.
const MOST: usize = 64;

/// The same if the caller passes no memory for wait blocks.
const MOST_WITHOUT_BLOCKS: usize = 3;

nt! {
    /// Waits until an object is signalled, and takes it. Without a timeout it waits forever.
    fn KeWaitForSingleObject(
        object: Shared<Header>, _reason: i32, _mode: i8, _alertable: Boolean, timeout: In<i64>,
    ) -> NtStatus {
        or_fault(single(object, timeout))
    }

    /// Waits for all of several objects (0), or any one of them (1).
    fn KeWaitForMultipleObjects(
        count: u32,
        objects: In<Shared<Header>>,
        kind: i32,
        _reason: i32,
        _mode: i8,
        _alertable: Boolean,
        timeout: In<i64>,
        blocks: *const Cell<u8>,
    ) -> NtStatus {
        or_fault(several(count, objects, kind, timeout, blocks.is_null()))
    }

    /// Waits for a period of time.
    fn KeDelayExecutionThread(_mode: i8, _alertable: Boolean, interval: In<i64>) -> NtStatus {
        delay(interval.get())
    }

    /// Keeps the processor busy for this many microseconds.
    fn KeStallExecutionProcessor(microseconds: u32) { stall(microseconds) }
}

/// `KeWaitForSingleObject`.
pub(crate) fn single(object: Shared<'_, Header>, timeout: In<i64>) -> Result<NtStatus, Exception> {
    try_wait("KeWaitForSingleObject", &[object.get()], true, timeout.non_null().map(In::get))
}

/// `KeWaitForMultipleObjects`.
pub(crate) fn several(
    count: u32,
    objects: In<Shared<'_, Header>>,
    kind: i32,
    timeout: In<i64>,
    without_blocks: bool,
) -> Result<NtStatus, Exception> {
    let count = count as usize;
    check_count(count, without_blocks);
    let objects: Vec<&Header> = objects.to_vec(count).into_iter().map(Shared::get).collect();
    try_wait("KeWaitForMultipleObjects", &objects, kind == 0, timeout.non_null().map(In::get))
}

fn check_count(count: usize, without_blocks: bool) {
    let most = if without_blocks { MOST_WITHOUT_BLOCKS } else { MOST };
    if count == 0 || count > most {
        caller::fault(format!(
            "calls KeWaitForMultipleObjects for {count} objects; 1 to {most} are allowed \
             (MAXIMUM_WAIT_OBJECTS_EXCEEDED)"
        ));
    }
}

/// Waits as a driver requested. What would raise an exception is a fault.
pub(crate) fn wait(
    function: &'static str,
    objects: &[&Header],
    all: bool,
    timeout: Option<i64>,
) -> NtStatus {
    or_fault(try_wait(function, objects, all, timeout))
}

fn try_wait(
    function: &'static str,
    objects: &[&Header],
    all: bool,
    timeout: Option<i64>,
) -> Result<NtStatus, Exception> {
    let until = until(timeout);
    if !matches!(until, Until::Now) && thread::own().irql.get() >= irql::DISPATCH {
        caller::fault_of(
            Rule::Irql,
            format!(
                "calls {function} at IRQL {}, where waiting is not allowed (IRQL_NOT_LESS_OR_EQUAL)",
                thread::own().irql.get()
            ),
        );
    }
    if dispatch::is_at_limit(objects, all) {
        return Err(Exception::MutantLimit { function });
    }
    Ok(dispatch::wait(function, &Wanted { objects, all }, until))
}

/// Converts a timeout: below zero it is relative, above zero absolute, each in units of 100 ns.
pub(crate) fn until(timeout: Option<i64>) -> Until {
    match timeout {
        None => Until::Ever,
        Some(0) => Until::Now,
        Some(steps) => due(steps).map_or(Until::Ever, Until::At),
    }
}

/// The point in time at which a timeout ends. `None` if it is too far ahead to be represented.
///
/// An absolute time is converted to a relative one once: a later change of the clock does not move
/// it.
pub(crate) fn due(steps: i64) -> Option<Instant> {
    let distance = if steps <= 0 {
        duration(steps.unsigned_abs())
    } else {
        let since_1970 = duration(steps.saturating_sub(TO_1970).max(0).unsigned_abs());
        let moment = UNIX_EPOCH.checked_add(since_1970)?;
        // A time in the past means now.
        moment.duration_since(SystemTime::now()).unwrap_or_default()
    };
    Instant::now().checked_add(distance)
}

fn duration(steps: u64) -> Duration {
    let second = STEPS.unsigned_abs();
    let rest = u32::try_from(steps % second * 100).expect("less than a second in nanoseconds");
    Duration::new(steps / second, rest)
}

fn delay(interval: i64) -> NtStatus {
    irql::at_most("KeDelayExecutionThread", irql::APC);
    thread::waiting("KeDelayExecutionThread", || match due(interval) {
        Some(due) => std::thread::sleep(due.saturating_duration_since(Instant::now())),
        None => loop {
            std::thread::park();
        },
    });
    0
}

fn stall(microseconds: u32) {
    let end = Instant::now() + Duration::from_micros(microseconds.into());
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}
