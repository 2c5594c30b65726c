//! What the threads have counted since the last report.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use hotadd::{CpuList, HardwareId};
use rustix::time::{ClockId, clock_gettime};

use crate::busy::bit;

/// What a thread has found.
#[derive(Clone, Copy)]
pub(crate) enum Sample {
    /// On a processor of the set, which has a slot.
    Inside(u32),
    /// On a processor that is not in the set.
    Outside(u32),
    /// On a processor to which all have agreed and which is about to be in the set (A4, A5).
    Starting,
    /// On a processor of the set without a slot in the table.
    Slotless,
    /// The set changed meanwhile.
    Unknown,
}

/// Counts, of one thread or of several.
#[derive(Default)]
pub(crate) struct Tally {
    samples: u64,
    outside: u64,
    starting: u64,
    slotless: u64,
    unknown: u64,
    /// Where it was inside of the set, and where outside: a bit for each processor.
    on: u64,
    off: u64,
    /// When the first and the last sample outside were, in microseconds.
    span: Option<(u64, u64)>,
    /// Since when this thread has been outside without a sample inside.
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

    /// What was counted; it begins anew. Who is outside at this moment still is so since then.
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

/// What all threads have counted; they begin anew.
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

/// By the clock that the guest's uevents have, in microseconds.
pub(crate) fn now_us() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1000
}
