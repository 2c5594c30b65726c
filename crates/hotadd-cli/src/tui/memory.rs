//! [`Memory`]: what the TUI remembers from one drawing to the next.

use std::collections::BTreeMap;

use hotadd::HardwareId;
use hotadd_daemon::view::{RowState, View};

/// What a new rate counts for against those before it.
const NEW: f64 = 0.3;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Each processor's state when last seen, and how many changes had been seen when it came to be in it.
    seen: BTreeMap<HardwareId, (RowState, u64)>,
    changes: u64,
    first: First,
}

/// The throughput before anything was added or removed.
#[derive(Debug, Default)]
struct First {
    processors: usize,
    rate: Option<f64>,
    over: bool,
}

impl Memory {
    pub(super) fn observe(&mut self, view: &View) {
        for (&id, row) in &view.processors {
            let began = (row.state, 0);
            let seen = self.seen.entry(id).or_insert(began);
            if seen.0 != row.state {
                self.changes += 1;
                *seen = (row.state, self.changes);
            }
        }
        self.first.observe(view.active(), view.total_rate().filter(|rate| *rate > 0.0));
    }

    /// The higher, the later it changed; 0 if it never has.
    pub(super) fn changed(&self, id: HardwareId) -> u64 {
        self.seen.get(&id).map_or(0, |(_, change)| *change)
    }

    /// The throughput at first, and of how many processors it was. `None` as long as it still is the first.
    pub(super) fn first(&self) -> Option<(f64, usize)> {
        self.first.rate.filter(|_| self.first.over).map(|rate| (rate, self.first.processors))
    }
}

impl First {
    fn observe(&mut self, active: usize, rate: Option<f64>) {
        if self.processors == 0 {
            self.processors = active;
        }
        self.over |= active != self.processors;
        if let Some(rate) = rate.filter(|_| !self.over) {
            self.rate = Some(self.rate.map_or(rate, |before| before + (rate - before) * NEW));
        }
    }
}
