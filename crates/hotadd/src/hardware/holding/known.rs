//! [`Known`]: every thread's mask as it was last seen, in few bytes for those that have what all have.

use std::collections::HashMap;

use rustix::process::Pid;

use super::mask::Mask;

/// Every thread's mask. Most have the set, and of these only the id is kept.
#[derive(Debug)]
pub(super) struct Known {
    set: Mask,
    /// Those that have the set, ascending once it is [sorted](Self::sort).
    followers: Vec<Pid>,
    others: HashMap<Pid, Mask>,
}

impl Known {
    pub(super) fn new(set: Mask) -> Self {
        Self { set, followers: Vec::new(), others: HashMap::new() }
    }

    pub(super) fn clear(&mut self) {
        self.followers.clear();
        self.others.clear();
    }

    /// Of a thread that is seen twice the last word counts.
    pub(super) fn saw(&mut self, thread: Pid, mask: Mask) {
        if mask == self.set {
            self.others.remove(&thread);
            self.followers.push(thread);
        } else {
            self.others.insert(thread, mask);
        }
    }

    /// To be called before anything is asked.
    pub(super) fn sort(&mut self) {
        self.followers.sort_unstable_by_key(|thread| thread.as_raw_nonzero());
    }

    /// Those that have the set have this one from now on.
    pub(super) fn follow(&mut self, set: Mask) {
        self.set = set;
    }

    pub(super) fn get(&self, thread: Pid) -> Option<&Mask> {
        let follows = || {
            let raw = thread.as_raw_nonzero();
            self.followers.binary_search_by_key(&raw, |one| one.as_raw_nonzero()).is_ok()
        };
        self.others.get(&thread).or_else(|| follows().then_some(&self.set))
    }
}
