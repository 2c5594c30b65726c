//! The threads' counts since the last report.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use hotadd::{CpuList, HardwareId};
use rustix::time::{ClockId, clock_gettime};

use crate::busy::bit;

/// One sample of a thread.
#[derive(Clone, Copy)]
pub(crate) enum Sample {
    /// On a processor of the set that has a slot in the table.
    Inside(u32),
    /// On a processor that is not in the set.
    Outside(u32),
    /// On a processor that all drivers have agreed to and that is about to join the set (A4, A5).
    Starting,
    /// On a processor of the set without a slot in the table.
    Slotless,
    /// The set changed meanwhile.
    Unknown,
}

/// The counts of one thread or of several.
#[derive(Default)]
pub(crate) struct Tally {
    samples: u64,
    outside: u64,
    starting: u64,
    slotless: u64,
    unknown: u64,
    /// The processors on which it was inside of the set, and outside: a bit for each processor.
    on: u64,
    off: u64,
    /// The times of the first and the last sample outside, in microseconds.
    span: Option<(u64, u64)>,
    /// Since when this thread has been outside of the set without a sample inside.
    since: Option<u64>,
    longest_us: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, sample: Sample) {
        self.samples += 1;
        match sample {
            Sample::Inside(id) => {
                self.on |= bit(id);
                self.since = None;
            }
            Sample::Outside(id) => {
                let now = now_us();
                self.outside += 1;
                self.off |= bit(id);
                self.span = Some((self.span.map_or(now, |(first, _)| first), now));
                let since = *self.since.get_or_insert(now);
                self.longest_us = self.longest_us.max(now - since);
            }
            Sample::Starting => self.starting += 1,
            Sample::Slotless => self.slotless += 1,
            Sample::Unknown => {
                self.samples -= 1;
                self.unknown += 1;
            }
        }
    }

    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// Returns the counts and resets them. A thread that is outside at this moment keeps the time since when it is.
    pub(crate) fn take(&mut self) -> Self {
        let since = self.since;
        mem::replace(self, Self { since, ..Self::default() })
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.outside += other.outside;
        self.starting += other.starting;
        self.slotless += other.slotless;
        self.unknown += other.unknown;
        self.on |= other.on;
        self.off |= other.off;
        self.longest_us = self.longest_us.max(other.longest_us);
        self.span = match (self.span, other.span) {
            (Some((first, last)), Some((from, to))) => Some((first.min(from), last.max(to))),
            (one, other) => one.or(other),
        };
    }
}

/// The counts of all threads, which are reset.
pub(crate) fn take(all: &[Arc<Mutex<Tally>>]) -> Tally {
    let mut sum = Tally::default();
    for tally in all {
        sum.add(&tally.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
    sum
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, outside, starting, slotless, unknown, .. } = self;
        let ms = |us: u64| format!("{}.{:03}", us / 1000, us % 1000);
        let (first, last) = self.span.unwrap_or_default();
        write!(f, "samples={samples} outside={outside} longest_ms={} ", ms(self.longest_us))?;
        write!(f, "first_ms={} last_ms={} ids={} ", ms(first), ms(last), list(self.off))?;
        write!(f, "starting={starting} slotless={slotless} unknown={unknown} on={}", list(self.on))
    }
}

fn list(bits: u64) -> CpuList {
    (0..64).filter(|id| bits & bit(*id) != 0).map(HardwareId).collect()
}

/// The time in microseconds, by the clock of the guest's uevents.
pub(crate) fn now_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1000
}
