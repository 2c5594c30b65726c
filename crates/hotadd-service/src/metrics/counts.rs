//! [`Counts`]: what is counted of a partition's events since its service began.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hotadd::{Event, EventKind, Occasion, State};

/// How many parties are counted by name. All others are counted together, under [`OTHERS`].
const MOST_PARTIES: usize = 64;

/// The label of the parties that are not counted by name.
const OTHERS: &str = "others";

/// The bounds of the histogram, in seconds.
pub(crate) const BOUNDS: [f64; 10] =
    [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

/// A phase of an add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// All parties are asked.
    Ask,
    /// The platform starts the processor.
    Start,
    /// All parties are told.
    Tell,
}

impl Phase {
    pub(crate) const ALL: [Self; 3] = [Self::Ask, Self::Start, Self::Tell];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Start => "start",
            Self::Tell => "tell",
        }
    }
}

/// How often something took how long.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Histogram {
    /// For each bound, how often it took at most so long, and longer than the bound before.
    pub(crate) within: [u64; BOUNDS.len()],
    pub(crate) count: u64,
    pub(crate) sum: Duration,
}

impl Histogram {
    fn record(&mut self, took: Duration) {
        let seconds = took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.within[at] += 1;
        }
        self.count += 1;
        self.sum = self.sum.saturating_add(took);
    }
}

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Adds by result.
    pub(crate) adds: BTreeMap<&'static str, u64>,
    /// Removals by result.
    pub(crate) removes: BTreeMap<&'static str, u64>,
    /// Refusals by party, of adds and of removals.
    pub(crate) vetoes: BTreeMap<String, u64>,
    /// Breaches by clause.
    pub(crate) breaches: BTreeMap<&'static str, u64>,
    pub(crate) phases: [Histogram; 3],
    asking: Option<Instant>,
    telling: Option<Instant>,
}

/// The results of an add, each of which is always written.
pub(crate) const ADDS: [&str; 6] = ["joined", "vetoed", "failed", "missing", "unagreed", "other"];

/// The results of a removal.
pub(crate) const REMOVES: [&str; 4] = ["left", "refused", "failed", "vanished"];

impl Counts {
    /// Counts an event. Runs on the thread of the transaction.
    pub(crate) fn observe(&mut self, event: &Event) {
        if event.kind == EventKind::Breach {
            *self.breaches.entry(event.clause.unwrap_or("")).or_default() += 1;
        }
        if event.occasion != Occasion::Change {
            return;
        }
        match event.kind {
            EventKind::Calling => match event.state {
                Some(State::AddStart) => drop(self.asking.get_or_insert_with(Instant::now)),
                Some(State::AddComplete) => drop(self.telling.get_or_insert_with(Instant::now)),
                _ => {}
            },
            EventKind::Veto | EventKind::RemoveVeto => self.veto(event),
            EventKind::Started | EventKind::StartFailed => {
                let took = event.took.unwrap_or_default();
                self.asked(took);
                self.phases[Phase::Start as usize].record(took);
            }
            EventKind::Joined => {
                if let Some(since) = self.telling.take() {
                    self.phases[Phase::Tell as usize].record(since.elapsed());
                }
                *self.adds.entry(if event.agreed { "joined" } else { "unagreed" }).or_default() +=
                    1;
            }
            EventKind::Refused => {
                self.asked(Duration::ZERO);
                *self.adds.entry(refusal(event)).or_default() += 1;
            }
            EventKind::Left => {
                *self
                    .removes
                    .entry(if event.surprise { "vanished" } else { "left" })
                    .or_default() += 1;
            }
            EventKind::RemoveRefused => {
                let failed = event.party.is_none() && event.errno.is_some();
                *self.removes.entry(if failed { "failed" } else { "refused" }).or_default() += 1;
            }
            _ => {}
        }
    }

    /// The asking has ended, this long ago.
    fn asked(&mut self, ago: Duration) {
        if let Some(since) = self.asking.take() {
            self.phases[Phase::Ask as usize].record(since.elapsed().saturating_sub(ago));
        }
    }

    fn veto(&mut self, event: &Event) {
        let name = event.party.as_ref().map_or("", |party| party.name.as_str());
        if let Some(count) = self.vetoes.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.vetoes.len() < MOST_PARTIES { name } else { OTHERS };
        *self.vetoes.entry(name.to_owned()).or_default() += 1;
    }
}

/// Why a processor was not added.
fn refusal(event: &Event) -> &'static str {
    match event.clause {
        Some("A3") => "vetoed",
        Some("A4") => "failed",
        Some("L4") => "missing",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use hotadd::hardware::Simulated;
    use hotadd::{Errno, HardwareId, Notice, Partition, Status, Veto};

    use super::*;
    use crate::lock::lock;

    fn counted(partition: &Partition) -> Arc<Mutex<Counts>> {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let counting = Arc::clone(&counts);
        partition.observe(move |event| lock(&counting).observe(event)).unwrap().detach();
        counts
    }

    #[test]
    fn each_add_is_counted_once_by_its_result_and_each_phase_once() {
        let hardware = Simulated::new(1, 3).unwrap();
        hardware.fail_start(HardwareId(3), Errno::from_raw(11));
        let partition = Partition::simulated(&hardware).unwrap();
        let counts = counted(&partition);
        let refuses = |notice: &Notice| match notice.processor().id {
            HardwareId(2) if notice.state() == State::AddStart => {
                Err(Veto::new(Status::DEVICE_BUSY, "no"))
            }
            _ => Ok(()),
        };
        let _pool = partition.registration("pool").register(refuses).unwrap();
        partition.rehearse(HardwareId(2)).unwrap();
        partition.add(HardwareId(1)).unwrap();
        partition.add(HardwareId(2)).unwrap_err();
        partition.add(HardwareId(3)).unwrap_err();
        partition.add(HardwareId(9)).unwrap_err();
        partition.remove(HardwareId(1)).unwrap();
        partition.remove(HardwareId(1)).unwrap_err();
        let counts = lock(&counts);
        let adds = BTreeMap::from([("joined", 1), ("vetoed", 1), ("failed", 1), ("other", 1)]);
        assert_eq!(counts.adds, adds);
        assert_eq!(counts.removes, BTreeMap::from([("left", 1), ("refused", 1)]));
        assert_eq!(counts.vetoes, BTreeMap::from([("pool".to_owned(), 1)]), "no rehearsal");
        let phases = counts.phases.map(|phase| phase.count);
        assert_eq!(phases, [3, 2, 1], "asked about 1, 2 and 3; 1 and 3 were to start; 1 joined");
    }

    #[test]
    fn parties_that_come_and_go_under_new_names_do_not_make_more_labels() {
        let hardware = Simulated::new(1, 1).unwrap();
        let partition = Partition::simulated(&hardware).unwrap();
        let counts = counted(&partition);
        for nth in 0..3 * MOST_PARTIES {
            let refuses = |_: &Notice| Err(Veto::new(Status::DEVICE_BUSY, "no"));
            let name = format!("party {nth}");
            let party = partition.registration(&name).without_replay();
            let _party = party.register(refuses).unwrap();
            partition.add(HardwareId(1)).unwrap_err();
        }
        let counts = lock(&counts);
        assert_eq!(counts.vetoes.len(), MOST_PARTIES + 1);
        assert_eq!(counts.vetoes[OTHERS], 2 * MOST_PARTIES as u64);
    }

    #[test]
    fn a_duration_is_counted_within_the_first_bound_that_it_does_not_exceed() {
        let mut histogram = Histogram::default();
        for micros in [100, 101, 6_000_000] {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!((histogram.within[0], histogram.within[1]), (1, 1));
        assert_eq!(histogram.within.iter().sum::<u64>(), 2, "one was longer than all bounds");
        assert_eq!(histogram.count, 3);
    }
}
