//! [`Tree`]: which processes a partition governs, and finding them.

use std::collections::{HashMap, HashSet};

use rustix::io::Errno;
use rustix::process::Pid;

use super::linux::Linux;
use super::threads::{Population, Processes, Swept, Table};

/// Which processes a partition of affinity masks governs.
///
/// A process whose parent ends becomes the child of the nearest ancestor that is a
/// [subreaper](https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html), or else of process 1. So that
/// none escapes, this process should be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// This process and all its descendants.
    Current,
    /// All descendants of this process, but not itself.
    Descendants,
}

impl Tree {
    /// The ids of this tree's processes at this moment, ended ones that nobody has waited for included. From any thread.
    ///
    /// # Errors
    /// If `/proc` cannot be read.
    pub fn processes(self) -> std::io::Result<Vec<u32>> {
        let look = Members::new(rustix::process::getpid(), self).look(&Linux)?;
        Ok(look.processes.iter().map(|pid| pid.as_raw_nonzero().get().cast_unsigned()).collect())
    }
}

/// What a look at the process table has found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) processes: Vec<Pid>,
    /// The table contradicts itself; processes of ours may be missing.
    pub(super) torn: bool,
    /// Some process, ours or not, ended before it was read.
    pub(super) missed: bool,
}

/// A [`Tree`] of a given process, and what earlier looks at it have taught.
#[derive(Debug)]
pub(in crate::hardware) struct Members {
    root: Pid,
    tree: Tree,
    /// Processes whose parent was not in the table at the last look, with that parent.
    orphans: HashSet<(Pid, Pid)>,
    /// Processes that were not ours at the last look, and are there.
    strangers: HashSet<Pid>,
}

impl Members {
    pub(in crate::hardware) fn new(root: Pid, tree: Tree) -> Self {
        Self { root, tree, orphans: HashSet::new(), strangers: HashSet::new() }
    }

    /// Finds the processes of the tree. The strangers of the last look are strangers still, and are not read again: none of them
    /// can become ours, and one that has ended is forgotten, so that whoever gets its id is not taken for it.
    ///
    /// When a process names a parent that is not in the table, the parent ended while we read, and its descendants may
    /// be ours. When two looks in a row say the same of it, the parent is not gone but hidden from us (another
    /// user's, on a `/proc` that hides those), and so not one of ours.
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
            // Removing them makes an end, even if a torn table were to show a circle.
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

/// A tree on a kernel, as where threads are found.
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
