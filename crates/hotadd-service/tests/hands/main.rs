//! Processors are switched by hand while parties are asked, in every combination of transaction, place in the
//! calling order, processor and number of switchings, with parties in this process and behind a socket (Q4,
//! X4).

mod party;

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{Error, HardwareId, Partition, Registration, State};

use common::{PATIENCE, Served};
use party::{Journal, Party};

/// The transaction during which a processor is switched. Processors 0, 1 and 3 are active with agreement; 2,
/// 4 and 5 are not active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occasion {
    AddTwo,
    RehearseTwo,
    RemoveThree,
    /// A party registers and gets the replay.
    Replay,
}

/// The party during whose call a processor is switched: it is called alone and first, in the middle, or last.
const PLACES: [&str; 3] = ["first", "middle", "last"];

/// How many times the processor is switched.
const TIMES: [usize; 3] = [1, 2, 3];

#[derive(Clone, Copy, Debug)]
struct Case {
    occasion: Occasion,
    place: &'static str,
    /// The processor that is switched.
    id: u32,
    times: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { occasion, place, id, times } = self;
        write!(f, "{id} is switched {times} times in {occasion:?}, when {place} is called")
    }
}

impl Case {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for occasion in
            [Occasion::AddTwo, Occasion::RehearseTwo, Occasion::RemoveThree, Occasion::Replay]
        {
            for place in PLACES {
                for id in [1, 2, 3, 4] {
                    all.extend(TIMES.map(|times| Self { occasion, place, id, times }));
                }
            }
        }
        // Only the registering party is called.
        all.retain(|case| case.occasion != Occasion::Replay || case.place == "last");
        all
    }

    fn state(&self) -> State {
        match self.occasion {
            Occasion::RemoveThree => State::RemoveStart,
            _ => State::AddStart,
        }
    }

    /// The processor of the call during which the switching happens.
    fn about(&self) -> u32 {
        match self.occasion {
            Occasion::AddTwo | Occasion::RehearseTwo => 2,
            Occasion::RemoveThree => 3,
            Occasion::Replay => 1,
        }
    }

    /// Switches from another thread and waits for it. The looks do not wait for the party that is being asked.
    fn switch(self, hardware: &Arc<Simulated>) {
        let hardware = Arc::clone(hardware);
        let switching = move || {
            for _ in 0..self.times {
                let id = HardwareId(self.id);
                if hardware.candidates().unwrap().contains(&id) {
                    hardware.intrude(id);
                } else {
                    hardware.vanish(id);
                }
            }
        };
        thread::spawn(switching).join().expect("it does not fail");
    }

    /// Whether the processor runs after it was switched this many times.
    fn runs(&self) -> bool {
        let ran = [0, 1, 3].contains(&self.id);
        ran == self.times.is_multiple_of(2)
    }

    fn run(self) {
        let served = Served::new(2, 4);
        let there = Partition::connect(&served.path).unwrap();
        let journal = Journal::default();
        let hardware = Arc::clone(&served.hardware);
        let party = |name: &'static str| {
            let hardware = Arc::clone(&hardware);
            let act = (self.place == name && self.occasion != Occasion::Replay)
                .then(|| (self.state(), self.about(), move || self.switch(&hardware)));
            Party::new(name, &journal, act)
        };
        let here =
            |name, level| served.partition.registration(name).level(level).register(party(name));
        let agent = |name, level| there.registration(name).level(level).register(party(name));
        let mut all: Vec<Registration> = vec![
            here("first", 0).unwrap(),
            agent("agent0", 0).unwrap(),
            here("middle", 1).unwrap(),
            agent("agent1", 1).unwrap(),
            here("last", 2).unwrap(),
        ];
        served.partition.add(HardwareId(3)).unwrap();
        let mut late = Vec::new();
        let outcome = match self.occasion {
            Occasion::AddTwo => served.partition.add(HardwareId(2)).map(drop),
            Occasion::RehearseTwo => served.partition.rehearse(HardwareId(2)).map(drop),
            Occasion::RemoveThree => served.partition.remove(HardwareId(3)).map(drop),
            Occasion::Replay => {
                let act = (self.state(), self.about(), move || self.switch(&hardware));
                let driver = Party::new("late", &journal, Some(act));
                served
                    .partition
                    .register("late", driver)
                    .map(|registration| late.push(registration))
            }
        };
        self.check_outcome(outcome);
        self.check_set(&served.partition, &served.hardware);
        journal.check_pairs(&self);
        let set = served.partition.active();
        let agreed = set.iter().filter(|p| set.is_agreed(p.index)).map(|p| p.id.0).collect();
        journal.check_open(&self, &agreed);
        comes_true(
            || {
                there.epoch() == served.partition.epoch()
                    && active(&there) == active(&served.partition)
            },
            || format!("{self}: the replica has {there:?}, and not {:?}", served.partition),
        );
        all.append(&mut late);
        let next = served.partition.add(HardwareId(5));
        assert!(next.is_ok(), "{self}: the next add works: {next:?}");
        journal.check_pairs(&self);
    }

    fn check_outcome(&self, outcome: Result<(), Error>) {
        let touched = self.occasion == Occasion::AddTwo && self.id == 2;
        match outcome {
            Err(Error::Touched { processor, .. }) if touched => assert_eq!(processor.id.0, 2),
            Ok(()) if !touched => {}
            other => panic!("{self}: the outcome is {other:?}"),
        }
    }

    fn check_set(&self, partition: &Partition, hardware: &Arc<Simulated>) {
        let running: BTreeSet<u32> = hardware.active().unwrap().iter().map(|id| id.0).collect();
        assert_eq!(active(partition), running, "{self}: the set is what runs");
        let mut expected = BTreeSet::from([0, 1, 3]);
        match self.occasion {
            Occasion::AddTwo if self.id != 2 => drop(expected.insert(2)),
            Occasion::RemoveThree => drop(expected.remove(&3)),
            _ => {}
        }
        // The transaction stops the processor after it was switched, if it runs then.
        if !(self.occasion == Occasion::RemoveThree && self.id == 3) {
            if self.runs() {
                expected.insert(self.id);
            } else {
                expected.remove(&self.id);
            }
        }
        assert_eq!(running, expected, "{self}: the running processors");
        let set = partition.active();
        for processor in set.iter() {
            let by_hand = processor.id.0 == self.id;
            let agreed = set.is_agreed(processor.index);
            assert_eq!(agreed, !by_hand, "{self}: whether {processor} counts as agreed (Q3)");
        }
    }
}

fn active(partition: &Partition) -> BTreeSet<u32> {
    partition.active().iter().map(|p| p.id.0).collect()
}

/// Waits for events that may still arrive.
fn comes_true(what: impl Fn() -> bool, says: impl FnOnce() -> String) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "{}", says());
        // The pause only leaves the processor to those that are waited for.
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn q4_x4_switching_by_hand_while_parties_are_asked_keeps_set_and_calls_consistent() {
    let all = Case::all();
    assert_eq!(all.len(), 120, "the product of the lists");
    all.into_iter().for_each(Case::run);
}
