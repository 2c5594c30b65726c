//! [`Limit`]: limits how many lines of one source are logged. Lines that are left out are counted, and the count is logged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The length of the window for which the numbers below hold.
const WINDOW: Duration = Duration::from_secs(10);

/// The most lines of one source. It exceeds the number of processors of a machine: a party may refuse all of them at once, and
/// each refusal is worth its line.
const EACH: u64 = 500;

/// The most lines of all sources together.
const ALL: u64 = 2000;

/// The most sources that are counted separately. All further sources are counted together.
const SOURCES: usize = 256;

/// The name of these further sources.
const OTHERS: &str = "others";

/// The lines since a window began.
pub(super) struct Limit {
    began: Instant,
    all: u64,
    sources: BTreeMap<String, u64>,
    left_out: BTreeMap<String, u64>,
}

/// How many lines were left out, by source.
pub(super) type LeftOut = BTreeMap<String, u64>;

impl Limit {
    pub(super) const fn new(now: Instant) -> Self {
        Self { began: now, all: 0, sources: BTreeMap::new(), left_out: BTreeMap::new() }
    }

    /// Returns whether a line of this source is to be logged. If not, the line is counted.
    pub(super) fn admits(&mut self, source: &str) -> bool {
        let known = self.sources.contains_key(source) || self.sources.len() < SOURCES;
        let source = if known { source } else { OTHERS };
        let count = self.sources.entry(source.to_owned()).or_default();
        let admitted = *count < EACH && self.all < ALL;
        if admitted {
            *count += 1;
            self.all += 1;
        } else {
            *self.left_out.entry(source.to_owned()).or_default() += 1;
        }
        admitted
    }

    /// Begins the next window if this one is over. Returns the number of lines that were left out in it.
    pub(super) fn turn(&mut self, now: Instant) -> LeftOut {
        if now.saturating_duration_since(self.began) < WINDOW {
            return LeftOut::new();
        }
        let left_out = self.end();
        *self = Self::new(now);
        left_out
    }

    /// Returns the number of lines left out so far, before the window is over.
    pub(super) fn end(&mut self) -> LeftOut {
        std::mem::take(&mut self.left_out)
    }

    /// When the number of lines that were left out is to be logged. `None` if no lines were.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.left_out.is_empty()).then(|| self.began + WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(limit: &mut Limit, source: &str, times: u64) -> u64 {
        (0..times).filter(|_| limit.admits(source)).count() as u64
    }

    #[test]
    fn a_source_that_floods_is_limited_and_others_are_admitted() {
        let began = Instant::now();
        let mut limit = Limit::new(began);
        assert_eq!(admitted(&mut limit, "quiet", EACH), EACH, "a source may write that much");
        assert_eq!(limit.due(), None);
        assert_eq!(admitted(&mut limit, "flood", EACH + 5000), EACH);
        assert!(limit.admits("a third one"), "other sources are still admitted");
        assert_eq!(limit.turn(began + WINDOW / 2), LeftOut::new(), "reported once per window");
        assert_eq!(limit.due(), Some(began + WINDOW));
        let left_out = limit.turn(began + WINDOW);
        assert_eq!(left_out, [("flood".to_owned(), 5000)].into(), "the count and the source");
        assert!(limit.admits("flood"), "admitted again in the next window");
        assert_eq!(limit.due(), None, "nothing is left to report");
    }

    #[test]
    fn many_source_names_share_one_limit_and_bounded_memory() {
        let mut limit = Limit::new(Instant::now());
        let count = (0..100_000).filter(|n| limit.admits(&format!("name {n}"))).count() as u64;
        let sources = u64::try_from(SOURCES).unwrap();
        assert_eq!(count, sources + EACH, "one each, and the share of all others");
        assert_eq!(limit.sources.len(), SOURCES + 1);
        assert_eq!(limit.end(), [(OTHERS.to_owned(), 100_000 - count)].into());
        let mut limit = Limit::new(Instant::now());
        let count: u64 = (0..20).map(|n| admitted(&mut limit, &n.to_string(), EACH)).sum();
        assert_eq!(count, ALL, "all sources together are limited");
    }
}
