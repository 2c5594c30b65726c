//! The scenarios: their names, what they do, and the processors that they start with. `stage::play` plays them.

use std::fmt;
use std::str::FromStr;

/// How much is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depth {
    /// What most drivers get wrong, in a few seconds.
    Quick,
    /// Everything but what takes long.
    Normal,
    /// Everything.
    Thorough,
}

impl Depth {
    /// `quick`, `normal` or `thorough`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Normal => "normal",
            Self::Thorough => "thorough",
        }
    }
}

/// The processors of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    /// How many are active when the driver is loaded.
    pub(crate) active: u32,
    /// How many can be added.
    pub(crate) spare: u32,
    /// How many make a group.
    pub(crate) group: u32,
    /// Whether the hardware ids have gaps.
    pub(crate) sparse: bool,
}

const fn set(active: u32, spare: u32) -> Set {
    Set { active, spare, group: 64, sparse: false }
}

/// The processors of most scenarios.
const USUAL: Set = set(3, 5);

/// A scenario without a failing call.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) name: &'static str,
    /// What it does, as a phrase.
    pub(crate) title: &'static str,
    pub(crate) set: Set,
    /// The least depth that includes it.
    pub(crate) depth: Depth,
}

/// The scenario without a failing call, after which those with failing calls are made: it lists the calls that can fail.
pub(crate) const DRY: &str = "one-by-one";

/// Groups of two, and the same scenario with one group: what fails only in the first confuses index and number.
pub(crate) const GROUPED: &str = "groups-of-2";

/// All scenarios without a failing call, in the order of reports.
pub(crate) const PLAIN: &[Plain] = &[
    plain("one-by-one", "three processors, and five more one by one", USUAL, Depth::Quick),
    plain("existing-1", "one processor, and two more", set(1, 2), Depth::Quick),
    plain("existing-2", "two processors, and two more", set(2, 2), Depth::Normal),
    plain(
        "existing-63",
        "63 processors, and two more: a second group begins",
        set(63, 2),
        Depth::Normal,
    ),
    plain(
        "existing-64",
        "64 processors, and two more: a second group begins",
        set(64, 2),
        Depth::Quick,
    ),
    plain("existing-65", "65 processors in two groups, and two more", set(65, 2), Depth::Normal),
    plain("existing-300", "300 processors in five groups, and two more", set(300, 2), Depth::Quick),
    plain("existing-2048", "2,048 processors in 32 groups", set(2048, 0), Depth::Normal),
    plain("grows-to-2048", "2,000 processors, and 48 more", set(2000, 48), Depth::Thorough),
    plain(
        GROUPED,
        "groups of two: three processors, and five more one by one",
        Set { group: 2, ..USUAL },
        Depth::Quick,
    ),
    plain(
        "empty-group",
        "groups of two: the second group is empty at first",
        Set { group: 2, ..set(2, 2) },
        Depth::Quick,
    ),
    plain("sparse-ids", "hardware ids with gaps", Set { sparse: true, ..USUAL }, Depth::Normal),
    plain(
        "index-gaps",
        "a processor has left before the driver is loaded, so that an index is missing",
        set(4, 2),
        Depth::Normal,
    ),
    plain(
        "quick-succession",
        "five processors at once, one transaction after the other",
        USUAL,
        Depth::Normal,
    ),
    plain("batch", "five processors in an atomic batch", USUAL, Depth::Normal),
    plain("earlier-refusal", "an earlier driver refuses, then agrees", USUAL, Depth::Quick),
    plain("later-refusal", "a later driver refuses three times, then agrees", USUAL, Depth::Quick),
    plain(
        "failed-start",
        "each processor fails to start three times, then starts",
        USUAL,
        Depth::Quick,
    ),
    plain(
        "refused-status",
        "*OperationStatus already holds the refusal of another driver",
        USUAL,
        Depth::Quick,
    ),
    plain(
        "outcome-status",
        "*OperationStatus holds a value when the outcome is told",
        USUAL,
        Depth::Quick,
    ),
    plain("rehearsal", "the driver is asked, and told that nothing was added", USUAL, Depth::Quick),
    plain("surprise-removal", "a processor vanishes after it joined", USUAL, Depth::Normal),
    plain("slow-host", "starting a processor takes a while", USUAL, Depth::Normal),
    plain("unload-at-once", "loaded, and unloaded at once", USUAL, Depth::Quick),
    plain(
        "add-during-unload",
        "a processor is added while the driver deregisters",
        USUAL,
        Depth::Quick,
    ),
    plain("second-load", "loaded, unloaded, and loaded again", USUAL, Depth::Quick),
    plain(
        "random",
        "adds, refusals, failures and reloads in random order, by the seed",
        set(3, 9),
        Depth::Thorough,
    ),
];

const fn plain(name: &'static str, title: &'static str, set: Set, depth: Depth) -> Plain {
    Plain { name, title, set, depth }
}

/// A moment in a driver's life in which its calls can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// In DriverEntry, outside of the callback.
    Load,
    /// In AddStart for an existing processor.
    Replay,
    /// In AddStart.
    Add,
    /// In AddComplete.
    Complete,
    /// In AddFailure.
    Failure,
    /// In DriverUnload.
    Unload,
    /// In a thread of the driver, a DPC or a work item.
    Other,
}

impl Phase {
    const ALL: &[(Self, &str)] = &[
        (Self::Load, "load"),
        (Self::Replay, "replay"),
        (Self::Add, "add"),
        (Self::Complete, "complete"),
        (Self::Failure, "failure"),
        (Self::Unload, "unload"),
        (Self::Other, "other"),
    ];

    /// Whether the same is tried several times, so that what is lost adds up.
    pub(crate) const fn is_repeated(self) -> bool {
        matches!(self, Self::Add | Self::Failure)
    }

    pub(crate) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(phase, _)| *phase == self).map_or("other", |(_, word)| word)
    }
}

/// A call of a driver that can fail: the function, and the calls that lead to it, as offsets in the driver, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point {
    pub(crate) phase: Phase,
    pub(crate) function: String,
    pub(crate) stack: Vec<u64>,
}

/// `replay:ExAllocatePool2+0x1234+0x2000`
impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.phase.word(), self.function)?;
        self.stack.iter().try_for_each(|place| write!(f, "+{place:#x}"))
    }
}

impl FromStr for Point {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (phase, rest) = text.split_once(':').ok_or(())?;
        let (phase, _) = Phase::ALL.iter().find(|(_, word)| *word == phase).ok_or(())?;
        let mut parts = rest.split('+');
        let function = parts.next().filter(|name| !name.is_empty()).ok_or(())?.to_owned();
        let place = |part: &str| {
            let digits = part.strip_prefix("0x").ok_or(())?;
            u64::from_str_radix(digits, 16).map_err(drop)
        };
        Ok(Self { phase: *phase, function, stack: parts.map(place).collect::<Result<_, ()>>()? })
    }
}

/// A call that fails in a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    pub(crate) point: Point,
    /// Which of the calls at this point fails, from 1: in each callback, if the phase [repeats](Phase::is_repeated) itself,
    /// and otherwise once.
    pub(crate) nth: u32,
    /// Whether the driver is told the failure that it caused itself (the other reading of A3).
    pub(crate) told: bool,
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Plain(&'static str),
    Failing(Failing),
}

/// `fail:2:replay:ExAllocatePool2+0x1234`, with `fail-told` for the other reading of A3.
impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(name) => f.write_str(name),
            Self::Failing(Failing { point, nth, told }) => {
                let word = if *told { "fail-told" } else { "fail" };
                write!(f, "{word}:{nth}:{point}")
            }
        }
    }
}

/// There is no scenario of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scenario {0:?}; the scenarios are {list}, and those named fail:... in a report", list = names())]
pub struct NoSuchScenario(pub String);

fn names() -> String {
    let names: Vec<&str> = PLAIN.iter().map(|plain| plain.name).collect();
    names.join(", ")
}

impl FromStr for Scenario {
    type Err = NoSuchScenario;

    fn from_str(text: &str) -> Result<Self, NoSuchScenario> {
        if let Some(plain) = PLAIN.iter().find(|plain| plain.name == text) {
            return Ok(Self::Plain(plain.name));
        }
        let failing = || {
            let (word, rest) = text.split_once(':')?;
            let told = match word {
                "fail" => false,
                "fail-told" => true,
                _ => return None,
            };
            let (nth, point) = rest.split_once(':')?;
            Some(Failing { point: point.parse().ok()?, nth: nth.parse().ok()?, told })
        };
        failing().map(Self::Failing).ok_or_else(|| NoSuchScenario(text.to_owned()))
    }
}

impl Scenario {
    /// The scenarios of a depth without a failing call.
    pub(crate) fn plain(depth: Depth) -> impl Iterator<Item = Self> {
        PLAIN.iter().filter(move |plain| plain.depth <= depth).map(|plain| Self::Plain(plain.name))
    }

    /// The scenarios in which a call at this point fails. It was made this many times.
    pub(crate) fn failing(point: &Point, calls: u32, depth: Depth) -> Vec<Self> {
        let most = match depth {
            Depth::Quick => 1,
            Depth::Normal => 2,
            Depth::Thorough => 8,
        };
        let positions: Vec<u32> = match point.phase {
            _ if calls <= most => (1..=calls).collect(),
            // In the middle of a replay something is to be undone already.
            Phase::Replay => (1..most).chain([calls]).collect(),
            _ if most == 1 => vec![1],
            _ => (1..most).chain([calls]).collect(),
        };
        let one = |nth, told| Self::Failing(Failing { point: point.clone(), nth, told });
        let mut all: Vec<Self> = positions.into_iter().map(|nth| one(nth, false)).collect();
        if point.phase == Phase::Add {
            all.push(one(1, true));
        }
        all
    }

    /// What it does, as a phrase.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Plain(name) => PLAIN
                .iter()
                .find(|plain| plain.name == *name)
                .map_or_else(String::new, |plain| plain.title.to_owned()),
            Self::Failing(Failing { point, nth, told }) => {
                let each = if point.phase.is_repeated() { " of each callback" } else { "" };
                let told = if *told { ", and the driver is told its own refusal" } else { "" };
                format!(
                    "call {nth} of {}{each} fails in {}{told}",
                    point.function,
                    point.phase.word()
                )
            }
        }
    }

    /// Its processors.
    pub(crate) fn set(&self) -> Set {
        match self {
            Self::Plain(name) => {
                PLAIN.iter().find(|plain| plain.name == *name).map_or(USUAL, |plain| plain.set)
            }
            Self::Failing(_) => USUAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_again_by_its_name() {
        let point = Point {
            phase: Phase::Replay,
            function: "ExAllocatePool2".to_owned(),
            stack: vec![0x1234, 0x20],
        };
        let failing = Scenario::failing(&point, 20, Depth::Thorough);
        assert_eq!(failing.len(), 8);
        for scenario in Scenario::plain(Depth::Thorough).chain(failing) {
            assert_eq!(scenario.to_string().parse(), Ok(scenario.clone()), "{scenario}");
            assert!(!scenario.title().is_empty());
        }
        for bad in [
            "",
            "fail",
            "fail:x",
            "fail:1:replay",
            "fail:1:never:X+0x1",
            "fail:1:load:X+12",
            "one-by-one ",
        ] {
            assert!(bad.parse::<Scenario>().is_err(), "{bad:?}");
        }
    }
}
