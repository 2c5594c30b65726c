//! The orders in which drivers take locks. Two locks that are taken in both orders can stop the system, although no run that anybody sees
//! has to show it. Recorded only if a probe is installed.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;

/// For each lock, by address: the locks that were taken while it was held.
static AFTER: Mutex<BTreeMap<usize, BTreeSet<usize>>> = Mutex::new(BTreeMap::new());

/// The most locks that are recorded, so that a driver with a lock for each of many objects takes no memory without limit.
const MOST: usize = 64 * 1024;

/// Records that a lock is taken by a thread that holds others. Returns one of these if it was ever taken after the new lock, directly or
/// through other locks.
pub(crate) fn take(held: &[usize], new: usize) -> Option<usize> {
    if held.contains(&new) {
        // A lock that may be taken again by its owner: the thread waits for nobody.
        return None;
    }
    let mut after = AFTER.lock();
    let mut wrong = None;
    for &one in held {
        let is_known = after.get(&one).is_some_and(|later| later.contains(&new));
        if !is_known && leads(&after, new, one) {
            wrong = wrong.or(Some(one));
        }
        if after.len() < MOST {
            after.entry(one).or_default().insert(new);
        }
    }
    wrong
}

/// Whether a lock was taken while another was held, directly or through others.
fn leads(after: &BTreeMap<usize, BTreeSet<usize>>, from: usize, to: usize) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(lock) = open.pop() {
        if lock == to {
            return true;
        }
        if seen.insert(lock) {
            open.extend(after.get(&lock).into_iter().flatten());
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_that_are_taken_in_both_orders_are_found_also_through_a_third() {
        // Addresses that no other test uses.
        let [a, b, c] = [0xa000_0001, 0xb000_0001, 0xc000_0001];
        assert_eq!(take(&[a], b), None, "the first order");
        assert_eq!(take(&[a], b), None, "the same order again");
        assert_eq!(take(&[b], c), None, "c after b");
        assert_eq!(take(&[c], a), Some(c), "a was taken before b, and b before c");
        assert_eq!(take(&[b, a], a), None, "the same lock again is not an order");
    }
}
