//! The time: in units of 100 ns, since 1601 or since the start of the machine.

use rustix::time::{ClockId, clock_gettime};

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::Boolean;

/// Units in a second.
const SECOND: i64 = 10_000_000;
/// Seconds from 1601 to 1970.
const TO_1970: i64 = 11_644_473_600;
/// Seconds from 1601 to 1980.
const TO_1980: i64 = TO_1970 + 315_532_800;
/// Units in a tick of the clock: 1/64 s.
const TICK: u32 = 156_250;

nt! {
    /// The time.
    fn KeQuerySystemTime(to: Out<i64>) { to.put(system()) }

    /// The time.
    fn KeQuerySystemTimePrecise(to: Out<i64>) { to.put(system()) }

    /// The time since the machine started.
    fn KeQueryInterruptTime() -> i64 { since(ClockId::Boottime) }

    /// The time since the machine started, and the counter at that moment.
    fn KeQueryInterruptTimePrecise(counter: Out<i64>) -> i64 { with_counter(counter, ClockId::Boottime) }

    /// The time since the machine started, without the time that it was suspended.
    fn KeQueryUnbiasedInterruptTime() -> i64 { since(ClockId::Monotonic) }

    /// The time since the machine started, without the time that it was suspended, and the counter at that
    /// moment.
    fn KeQueryUnbiasedInterruptTimePrecise(counter: Out<i64>) -> i64 {
        with_counter(counter, ClockId::Monotonic)
    }

    /// Ticks since the machine started.
    fn KeQueryTickCount(to: Out<i64>) { to.put(since(ClockId::Boottime) / i64::from(TICK)) }

    /// The length of a tick.
    fn KeQueryTimeIncrement() -> u32 { TICK }

    /// The longest, shortest and current length of a tick. It is fixed.
    fn ExQueryTimerResolution(longest: Out<u32>, shortest: Out<u32>, current: Out<u32>) {
        [longest, shortest, current].into_iter().for_each(|to| to.put(TICK));
    }

    /// A monotonic counter, and its frequency in Hz.
    fn KeQueryPerformanceCounter(frequency: Out<i64>) -> i64 { counter(frequency) }

    /// Converts system time to local time.
    fn ExSystemTimeToLocalTime(system: In<i64>, local: Out<i64>) {
        local.put(system.get() + zone(system.get()));
    }

    /// Converts local time to system time.
    fn ExLocalTimeToSystemTime(local: In<i64>, system: Out<i64>) {
        // The zone's rules depend on the system time, which differs by at most a day.
        let about = local.get() - zone(local.get());
        system.put(local.get() - zone(about));
    }

    /// Converts a time to its calendar fields.
    fn RtlTimeToTimeFields(time: In<i64>, fields: Out<Fields>) { fields.put(Fields::of(time.get())) }

    /// Converts calendar fields to a time. Returns false if they are not a valid time.
    fn RtlTimeFieldsToTime(fields: In<Fields>, time: Out<i64>) -> Boolean {
        u8::from(fields.get().time().map(|at| time.put(at)).is_some())
    }

    /// Converts a time to seconds since 1970. Returns false if they are too many, or too few.
    fn RtlTimeToSecondsSince1970(time: In<i64>, seconds: Out<u32>) -> Boolean {
        u8::from(seconds_since(TO_1970, time.get(), seconds))
    }

    /// Converts a time to seconds since 1980. Returns false if they are too many, or too few.
    fn RtlTimeToSecondsSince1980(time: In<i64>, seconds: Out<u32>) -> Boolean {
        u8::from(seconds_since(TO_1980, time.get(), seconds))
    }

    /// Converts seconds since 1970 to a time.
    fn RtlSecondsSince1970ToTime(seconds: u32, time: Out<i64>) {
        time.put((i64::from(seconds) + TO_1970) * SECOND);
    }

    /// Converts seconds since 1980 to a time.
    fn RtlSecondsSince1980ToTime(seconds: u32, time: Out<i64>) {
        time.put((i64::from(seconds) + TO_1980) * SECOND);
    }
}

/// A clock's time in units of 100 ns.
fn since(clock: ClockId) -> i64 {
    let now = clock_gettime(clock);
    now.tv_sec * SECOND + now.tv_nsec / 100
}

fn system() -> i64 {
    since(ClockId::Realtime) + TO_1970 * SECOND
}

fn counter(frequency: Out<i64>) -> i64 {
    frequency.put_if_wanted(SECOND);
    since(ClockId::Monotonic)
}

fn with_counter(to: Out<i64>, clock: ClockId) -> i64 {
    to.put_if_wanted(since(ClockId::Monotonic));
    since(clock)
}

/// How far local time is ahead of system time.
fn zone(time: i64) -> i64 {
    let seconds = time.div_euclid(SECOND) - TO_1970;
    // SAFETY: the structure has integers and a pointer, which may be null.
    let mut broken_down: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: the first argument is readable, the second writable.
    if unsafe { libc::localtime_r(&seconds, &mut broken_down) }.is_null() {
        return 0;
    }
    broken_down.tm_gmtoff * SECOND
}

fn seconds_since(begin: i64, time: i64, to: Out<u32>) -> bool {
    let seconds = u32::try_from(time.div_euclid(SECOND) - begin);
    seconds.map(|seconds| to.put(seconds)).is_ok()
}

/// `TIME_FIELDS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields {
    year: i16,
    month: i16,
    day: i16,
    hour: i16,
    minute: i16,
    second: i16,
    milliseconds: i16,
    /// The day of the week, from Sunday.
    weekday: i16,
}

const _: () = assert!(size_of::<Fields>() == 16);

/// Days in 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the beginning of 1601 to that of a year. A cycle begins with 1601.
fn days_before(year: i64) -> i64 {
    let years = year - 1601;
    years * 365 + years / 4 - years / 100 + years / 400
}

impl Fields {
    fn of(time: i64) -> Self {
        let milliseconds = time.max(0) / (SECOND / 1000);
        let (days, rest) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
        // No year is longer than 366 days, and the average in a cycle is at least 365.
        let mut year = 1601 + days * 400 / CYCLE;
        while days_before(year + 1) <= days {
            year += 1;
        }
        while days_before(year) > days {
            year -= 1;
        }
        let (mut month, mut day) = (1, days - days_before(year));
        while day >= days_in(year, month) {
            day -= days_in(year, month);
            month += 1;
        }
        let small = |value: i64| i16::try_from(value).unwrap_or(i16::MAX);
        Self {
            year: small(year),
            month: small(month),
            day: small(day + 1),
            hour: small(rest / 3_600_000),
            minute: small(rest / 60_000 % 60),
            second: small(rest / 1000 % 60),
            milliseconds: small(rest % 1000),
            // 1601 began on a Monday.
            weekday: small((days + 1) % 7),
        }
    }

    /// The time, or `None` if the fields are not a valid time. The weekday is ignored.
    fn time(self) -> Option<i64> {
        let [year, month, day] = [self.year, self.month, self.day].map(i64::from);
        let [hour, minute, second, milliseconds] =
            [self.hour, self.minute, self.second, self.milliseconds].map(i64::from);
        let is_time = (1601..=30827).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && (0..24).contains(&hour)
            && (0..60).contains(&minute)
            && (0..60).contains(&second)
            && (0..1000).contains(&milliseconds);
        if !is_time {
            return None;
        }
        let months: i64 = (1..month).map(|month| days_in(year, month)).sum();
        let days = days_before(year) + months + day - 1;
        let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
        Some((seconds * 1000 + milliseconds) * (SECOND / 1000))
    }
}
