//! [`Known`]: every thread's mask as it was last read. Threads that have the set as their mask take little memory.

use std::collections::HashMap;

use rustix::process::Pid;

use super::mask::Mask;

/// Every thread's mask. Most threads have the set as their mask, and only their id is stored.
#[derive(Debug)]
pub(super) struct Known {
    set: Mask,
    /// The threads that have the set, ascending once this is [sorted](Self::sort).
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

    /// Records a thread's mask. If a thread is read twice, the last mask counts.
    pub(super) fn saw(&mut self, thread: Pid, mask: Mask) {
        if mask == self.set {
            self.others.remove(&thread);
            self.followers.push(thread);
        } else {
            self.others.insert(thread, mask);
        }
    }

    /// Must be called before any query.
    pub(super) fn sort(&mut self) {
        self.followers.sort_unstable_by_key(|thread| thread.as_raw_nonzero());
    }

    /// Records that the mask of all followers is `set` from now on.
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
