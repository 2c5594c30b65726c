//! [`Tree`]: the processes that a partition governs, and how they are found.

use std::collections::{HashMap, HashSet};

use rustix::io::Errno;
use rustix::process::Pid;

use super::linux::Linux;
use super::threads::{Population, Processes, Swept, Table};

/// The processes that a partition of affinity masks governs.
///
/// A process whose parent ends becomes the child of the nearest ancestor that is a
/// [subreaper](https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html), or else of process 1. This
/// process should be a subreaper, so that no process leaves the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tree {
    /// This process and all its descendants.
    Current,
    /// All descendants of this process, but not itself.
    Descendants,
}

impl Tree {
    /// The current ids of this tree's processes, including ended ones that have not been waited for. May be called on
    /// any thread.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn processes(self) -> std::io::Result<Vec<u32>> {
        let look = Members::new(rustix::process::getpid(), self).look(&Linux)?;
        Ok(look.processes.iter().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()).collect())
    }
}

/// The result of reading the process table.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) processes: Vec<Pid>,
    /// The table is inconsistent; processes of the tree may be missing.
    pub(super) torn: bool,
    /// A process, in the tree or not, ended before it was read.
    pub(super) missed: bool,
}

/// A [`Tree`] of a given process, and what earlier reads of the process table have shown.
#[derive(Debug)]
pub(in crate::hardware) struct Members {
    root: Pid,
    tree: Tree,
    /// The processes whose parent was not in the table at the last read, with that parent.
    orphans: HashSet<(Pid, Pid)>,
    /// The processes that were not in the tree at the last read, and still exist.
    strangers: HashSet<Pid>,
}

impl Members {
    pub(in crate::hardware) fn new(root: Pid, tree: Tree) -> Self {
        Self { root, tree, orphans: HashSet::new(), strangers: HashSet::new() }
    }

    /// Finds the processes of the tree. The strangers of the last read remain strangers, and are not read again: none of them
    /// can enter the tree. A stranger that has ended is forgotten, so that a new process with its id is not taken for it.
    ///
    /// If a process names a parent that is not in the table, the parent ended during the read, and its descendants may belong to
    /// the tree. If two reads in a row show the same, the parent still exists but is hidden (it belongs to another user, on a
    /// `/proc` that hides other users' processes), and so is not in the tree.
    pub(super) fn look(&mut self, kernel: &dyn Processes) -> Result<Look, Errno> {
        let Table { found: all, passed, missed } = kernel.processes(&self.strangers)?;
        self.strangers = passed;
        let known: HashSet<Pid> = all.iter().map(|process| process.pid).collect();
        let mut orphans = HashSet::new();
        let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for process in all {
            let Some(parent) = process.parent else { continue };
            if !known.contains(&parent) && !self.strangers.contains(&parent) {
                orphans.insert((process.pid, parent));
            }
            children.entry(parent).or_default().push(process.pid);
        }
        let mut processes = match self.tree {
            Tree::Current => vec![self.root],
            Tree::Descendants => children.remove(&self.root).unwrap_or_default(),
        };
        let mut at = 0;
        while let Some(process) = processes.get(at) {
            // Each entry is removed, so that this ends even if a torn table contained a cycle.
            processes.extend(children.remove(process).unwrap_or_default());
            at += 1;
        }
        let torn = !known.contains(&self.root) || !orphans.is_subset(&self.orphans);
        let unsettled = orphans.iter().map(|(orphan, _)| *orphan);
        let not_strangers: HashSet<Pid> =
            processes.iter().copied().chain([self.root]).chain(unsettled).collect();
        self.strangers.extend(known.difference(&not_strangers));
        self.orphans = orphans;
        Ok(Look { processes, torn, missed })
    }
}

/// A tree and a kernel, as a source of threads.
pub(in crate::hardware) struct TreeOf<'a> {
    pub(in crate::hardware) members: &'a mut Members,
    pub(in crate::hardware) kernel: &'a dyn Processes,
}

impl Population for TreeOf<'_> {
    fn sweep(&mut self, visit: &mut dyn FnMut(Pid) -> Result<(), Errno>) -> Result<Swept, Errno> {
        let look = self.members.look(self.kernel)?;
        let mut swept = Swept { torn: look.torn, missed: look.missed };
        for process in look.processes {
            let threads = match self.kernel.threads(process) {
                Err(Errno::SRCH) => {
                    swept.missed = true;
                    continue;
                }
                threads => threads?,
            };
            for thread in threads {
                match visit(thread) {
                    Err(Errno::SRCH) => swept.missed = true,
                    visited => visited?,
                }
            }
        }
        Ok(swept)
    }
}

#[cfg(test)]
mod tests {
    use super::super::mask::Mask;
    use super::super::stat::Stat;
    use super::super::threads::{Masks, Owner};
    use super::*;

    /// A process table: the processes, each with its parent.
    #[derive(Debug)]
    struct Fixed(&'static [(i32, i32)]);

    fn pid(id: i32) -> Pid {
        Pid::from_raw(id).unwrap()
    }

    impl Processes for Fixed {
        fn processes(&self, but: &HashSet<Pid>) -> Result<Table, Errno> {
            let mut table = Table::default();
            for (id, parent) in self.0 {
                let (pid, parent) = (pid(*id), Pid::from_raw(*parent));
                if but.contains(&pid) {
                    table.passed.insert(pid);
                } else {
                    let (ended, immovable, born) = (false, false, None);
                    table.found.push(Stat { pid, parent, ended, immovable, born });
                }
            }
            Ok(table)
        }

        fn threads(&self, _: Pid) -> Result<Vec<Pid>, Errno> {
            Err(Errno::NOSYS)
        }
    }

    impl Masks for Fixed {
        fn stat(&self, _: Pid) -> Result<Stat, Errno> {
            Err(Errno::NOSYS)
        }
        fn mask(&self, _: Pid) -> Result<Mask, Errno> {
            Err(Errno::NOSYS)
        }
        fn set_mask(&self, _: Pid, _: &Mask) -> Result<(), Errno> {
            Err(Errno::NOSYS)
        }
        fn owner(&self, _: Pid) -> Option<Owner> {
            None
        }
        fn ticks(&self) -> u64 {
            0
        }
        fn overwrites(&self) -> bool {
            false
        }
    }

    #[test]
    fn h1_a_table_without_the_root_or_with_a_new_orphan_is_read_again() {
        let mut members = Members::new(pid(10), Tree::Current);
        let mut torn = |table| members.look(&Fixed(table)).unwrap().torn;
        assert!(!torn(&[(1, 0), (10, 1), (11, 10)]), "it is whole");
        assert!(torn(&[(1, 0), (11, 10)]), "the root is missing");
        assert!(torn(&[(1, 0), (10, 1), (12, 99)]), "a parent has ended meanwhile");
        assert!(!torn(&[(1, 0), (10, 1), (12, 99)]), "the parent is hidden");
    }
}
