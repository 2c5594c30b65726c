//! The scenarios of parties: their names, what they do, and the processors that they start with. `play` plays them.

use crate::scenario::{Depth, Plain, Set};

/// The processors of most scenarios.
const USUAL: Set = set(3, 5);

/// All scenarios, in the order of reports.
const ALL: &[Plain] = &[
    plain("one-by-one", "three processors, and five more one by one", USUAL, Depth::Quick),
    plain("existing-1", "one processor, and two more", set(1, 2), Depth::Quick),
    plain("existing-2", "two processors, and two more", set(2, 2), Depth::Normal),
    plain("existing-63", "63 processors, and two more: a group is full", set(63, 2), Depth::Normal),
    plain("existing-64", "64 processors, and two more: a group begins", set(64, 2), Depth::Quick),
    plain("existing-65", "65 processors in two groups, and two more", set(65, 2), Depth::Normal),
    plain(LARGEST, "2,047 processors in 32 groups, and one more", set(2047, 1), Depth::Normal),
    plain("sparse-ids", "hardware ids with gaps", Set { sparse: true, ..USUAL }, Depth::Normal),
    plain(
        "index-gaps",
        "a processor has left before, so an index is missing",
        set(4, 2),
        Depth::Normal,
    ),
    plain(
        "quick-succession",
        "five processors, one directly after the other",
        USUAL,
        Depth::Normal,
    ),
    plain("batch", "five processors in an atomic batch", USUAL, Depth::Normal),
    plain("earlier-refusal", "an earlier party refuses, then agrees", USUAL, Depth::Quick),
    plain("later-refusal", "a later party refuses, then agrees", USUAL, Depth::Quick),
    plain("refused-batch", "a later party refuses an atomic batch", USUAL, Depth::Normal),
    plain("failed-start", "processors fail to start, then start", USUAL, Depth::Quick),
    plain("rehearsal", "the party is asked, and told that nothing was added", USUAL, Depth::Quick),
    plain("removal", "a processor is removed, and added again", USUAL, Depth::Normal),
    plain("surprise-removal", "a processor vanishes after it joined", USUAL, Depth::Quick),
    plain("slow-start", "starting a processor takes a while", USUAL, Depth::Normal),
    plain("unload-at-once", "registered, and deregistered at once", USUAL, Depth::Quick),
    plain("second-load", "registered, deregistered, and registered again", USUAL, Depth::Quick),
    plain("registered-twice", "registered twice at the same time", USUAL, Depth::Normal),
    plain(
        "random",
        "adds, refusals, failures and new registrations by the seed",
        set(3, 9),
        Depth::Thorough,
    ),
];

/// The scenario with the most processors.
const LARGEST: &str = "existing-2047";

const fn set(active: u32, spare: u32) -> Set {
    Set { active, spare, group: 64, sparse: false }
}

const fn plain(name: &'static str, title: &'static str, set: Set, depth: Depth) -> Plain {
    Plain { name, title, set, depth }
}

/// There is no scenario of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no scenario {0:?} for this driver; the scenarios are {list}", list = names())]
pub struct NoSuchPartyScenario(pub String);

fn names() -> String {
    ALL.iter().map(|plain| plain.name).collect::<Vec<_>>().join(", ")
}

/// The scenario of this name.
pub(super) fn find(name: &str) -> Result<&'static Plain, NoSuchPartyScenario> {
    let found = ALL.iter().find(|plain| plain.name == name);
    found.ok_or_else(|| NoSuchPartyScenario(name.to_owned()))
}

/// The scenarios of a depth. A party in another process is called through processes or messages, of which the largest set needs
/// thousands: it is left to the greatest depth.
pub(super) fn of(depth: Depth, is_apart: bool) -> Vec<&'static Plain> {
    let least = |plain: &Plain| match plain.name {
        LARGEST if is_apart => Depth::Thorough,
        _ => plain.depth,
    };
    ALL.iter().filter(|plain| least(plain) <= depth).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_is_found_by_its_name_and_the_largest_set_is_for_the_greatest_depth() {
        for plain in ALL {
            assert_eq!(find(plain.name).unwrap().title, plain.title);
        }
        assert!(find("one").unwrap_err().to_string().contains("the scenarios are one-by-one, "));
        let has = |depth, is_apart| of(depth, is_apart).iter().any(|plain| plain.name == LARGEST);
        assert!(has(Depth::Normal, false) && !has(Depth::Normal, true));
        assert!(has(Depth::Thorough, true));
    }
}
