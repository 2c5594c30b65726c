//! Which cases run. The product of the four lists is large, and what fails depends on few of them at once: so by default any three
//! entries of three different lists meet in a case. With `HOTADD_WHOLE=1` the whole product runs.

use std::collections::BTreeSet;

use crate::case::{Case, FAULTS, MOMENTS, PLACES, STANDINGS};

/// The number of lists.
const LISTS: usize = 4;

/// The positions of entries of all lists but one, which has `usize::MAX` here.
type Triple = [usize; LISTS];

/// The cases of this run.
pub(crate) fn cases() -> Vec<Case> {
    let all = Case::all();
    if hotadd_testing::whole() { all } else { covering(all) }
}

/// Cases in which every triple occurs. Each is the first of those with most triples that no earlier one has.
fn covering(all: Vec<Case>) -> Vec<Case> {
    let mut left: Vec<(Case, [Triple; LISTS])> =
        all.into_iter().map(|case| (case, triples(&case))).collect();
    let mut missing: BTreeSet<Triple> = left.iter().flat_map(|(_, of)| of).copied().collect();
    let mut chosen = Vec::new();
    for new in (1..=LISTS).rev() {
        // Choosing a case makes no other one better, so one pass finds all that are as good as this.
        left.retain(|(case, of)| {
            let is_good = of.iter().filter(|triple| missing.contains(*triple)).count() >= new;
            if is_good {
                for triple in of {
                    missing.remove(triple);
                }
                chosen.push(*case);
            }
            !is_good
        });
    }
    assert!(missing.is_empty(), "these occur in no case: {missing:?}");
    chosen
}

/// The triples of a case.
fn triples(case: &Case) -> [Triple; LISTS] {
    let entries = [
        MOMENTS.iter().position(|moment| *moment == (case.occasion, case.state)),
        PLACES.iter().position(|place| *place == case.place),
        FAULTS.iter().position(|fault| *fault == case.fault),
        STANDINGS.iter().position(|standing| *standing == case.standing),
    ];
    let entries = entries.map(|entry| entry.expect("it is in the list"));
    std::array::from_fn(|without| {
        let mut triple = entries;
        triple[without] = usize::MAX;
        triple
    })
}

#[test]
fn the_chosen_cases_have_any_three_entries_of_three_lists() {
    let all = Case::all();
    let product = MOMENTS.len() * FAULTS.len() * PLACES.len() * STANDINGS.len();
    assert_eq!(all.len(), product, "the cases are chosen from the whole product");
    let chosen = covering(all.clone());
    let covered = |cases: &[Case]| cases.iter().flat_map(triples).collect::<BTreeSet<_>>();
    assert_eq!(covered(&chosen), covered(&all), "these triples must meet");
    assert!(chosen.len() * 2 < all.len(), "{} of {} are not a choice", chosen.len(), all.len());
}
