//! Names that are `'static` in this crate, and that a partition in another process sends as text.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::text;

/// Every clause of the contract.
const CLAUSES: &[&str] = &[
    "R1", "R2", "R3", "R4", "R5", "R6", "R7", "A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9",
    "A10", "A11", "H1", "H2", "H3", "H4", "H5", "D1", "D2", "D3", "D4", "L1", "L2", "L3", "L4",
    "X1", "X2", "X3", "X4", "Q1", "Q2", "Q3", "Q4", "Q5",
];

pub(super) fn clause(name: &str) -> Option<&'static str> {
    CLAUSES.iter().copied().find(|clause| *clause == name)
}

/// The maximum number of hardware names that are kept.
const MOST_NAMES: usize = 64;

/// Keeps the name of a partition's hardware. Each different name is kept once.
pub(super) fn hardware(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let name = text::cut(name, text::LONGEST_NAME);
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    // A hostile partition may send another name each time.
    if names.len() >= MOST_NAMES {
        return "unknown";
    }
    let name: &'static str = Box::leak(name.into_boxed_str());
    names.insert(name);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_all_clauses_of_the_contract_are_known() {
        let contract = include_str!("../../../../docs/contract.md");
        let named = |line: &'static str| line.strip_prefix("| ")?.split(' ').next();
        let is_clause = |name: &&str| {
            let (letter, number) = name.split_at(1);
            letter.chars().all(|c| c.is_ascii_uppercase())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let clauses: Vec<_> = contract.lines().filter_map(named).filter(is_clause).collect();
        assert!(clauses.len() > 30, "only {clauses:?} were found in the contract");
        for name in clauses {
            assert_eq!(clause(name), Some(name), "a breach of it loses its clause on the wire");
        }
    }

    #[test]
    fn the_number_of_names_kept_for_a_partition_is_limited() {
        for n in 0..2 * MOST_NAMES {
            hardware(&format!("hardware-{n}"));
        }
        let kept = hardware("hardware-0");
        assert_eq!((kept, hardware("one more")), ("hardware-0", "unknown"));
    }
}
