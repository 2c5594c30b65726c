//! [`Memory`]: what the TUI keeps from one drawing to the next.

use std::collections::BTreeMap;

use hotadd::HardwareId;
use hotadd_daemon::view::{RowState, View};

/// The weight of a new rate against the rates before it.
const NEW: f64 = 0.3;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Each processor's last state, and the number of changes at the time when it entered that state.
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

    /// A number that is higher the later the processor changed; 0 if it never has.
    pub(super) fn changed(&self, id: HardwareId) -> u64 {
        self.seen.get(&id).map_or(0, |(_, change)| *change)
    }

    /// The throughput at first, and the number of processors then. `None` until something was added or removed.
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
