//! A kernel for tests: processes, masks and processors that refuse, fork and hot-plug when told to.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::process::Pid;

use super::kernel::{Errno, Kernel};
use super::mask::Mask;
use super::stat::Stat;

/// A thread, by its id in [`World::threads`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Thread {
    pub(super) process: i32,
    pub(super) parent: i32,
    pub(super) mask: Mask,
    /// What a cpuset of its own confines it to.
    pub(super) cpuset: Mask,
    pub(super) refuses: Option<Errno>,
    pub(super) ended: bool,
    pub(super) immovable: bool,
}

type Event = Box<dyn FnMut(&mut World) + Send>;

pub(super) struct World {
    pub(super) possible: Mask,
    pub(super) online: Mask,
    pub(super) permitted: Mask,
    pub(super) threads: BTreeMap<i32, Thread>,
    /// One runs before each listing of the processes.
    pub(super) at_pass: VecDeque<Event>,
    /// Runs after each mask that is set.
    pub(super) at_set: Option<Event>,
    /// How many masks were set.
    pub(super) sets: usize,
}

impl World {
    /// Adds a thread with its maker's mask.
    pub(super) fn born(&mut self, thread: i32, process: i32, parent: i32, mask: Mask) {
        let (cpuset, refuses) = (Mask::full(), None);
        let born =
            Thread { process, parent, mask, cpuset, refuses, ended: false, immovable: false };
        self.threads.insert(thread, born);
    }

    fn find(&mut self, pid: Pid) -> Result<&mut Thread, Errno> {
        self.threads.get_mut(&pid.as_raw_nonzero().get()).ok_or(Errno::SRCH)
    }

    fn stat(&self, id: i32) -> Result<Stat, Errno> {
        let thread = self.threads.get(&id).ok_or(Errno::SRCH)?;
        Ok(Stat {
            pid: pid(id),
            parent: Pid::from_raw(thread.parent),
            ended: thread.ended,
            immovable: thread.immovable,
        })
    }
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<World>>);

impl Fake {
    /// A machine with these processors, all online, and one process, 10, that may run anywhere.
    pub(super) fn new(processors: &str) -> Self {
        let all = mask(processors);
        let mut world = World {
            possible: all,
            online: all,
            permitted: all,
            threads: BTreeMap::new(),
            at_pass: VecDeque::new(),
            at_set: None,
            sets: 0,
        };
        world.born(10, 10, 0, all);
        Self(Arc::new(Mutex::new(world)))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// The threads' masks, as `10: 0-1, 11: 0`.
    pub(super) fn masks(&self) -> String {
        let world = self.world();
        let each =
            world.threads.iter().map(|(id, t)| format!("{id}: {}", t.mask.and(&world.online)));
        each.collect::<Vec<_>>().join(", ")
    }
}

pub(super) fn mask(list: &str) -> Mask {
    Mask::of(list.parse::<crate::CpuList>().unwrap().ids().iter().copied())
}

pub(super) fn pid(raw: i32) -> Pid {
    Pid::from_raw(raw).unwrap()
}

impl Kernel for Fake {
    fn possible(&self) -> Result<Mask, Errno> {
        Ok(self.world().possible)
    }

    fn online(&self) -> Result<Mask, Errno> {
        Ok(self.world().online)
    }

    fn permitted(&self) -> Result<Mask, Errno> {
        let world = self.world();
        Ok(world.permitted.and(&world.online))
    }

    fn processes(&self, but: &HashSet<Pid>) -> Result<(Vec<Stat>, bool), Errno> {
        let mut world = self.world();
        if let Some(mut event) = world.at_pass.pop_front() {
            event(&mut world);
        }
        let first =
            world.threads.iter().filter(|(id, t)| **id == t.process && !but.contains(&pid(**id)));
        let found: Result<_, _> = first.map(|(id, _)| world.stat(*id)).collect();
        Ok((found?, false))
    }

    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno> {
        let world = self.world();
        let ours = world.threads.iter().filter(|(_, t)| pid(t.process) == process);
        Ok(ours.map(|(id, _)| pid(*id)).collect())
    }

    fn stat(&self, pid: Pid) -> Result<Stat, Errno> {
        self.world().stat(pid.as_raw_nonzero().get())
    }

    fn mask(&self, thread: Pid) -> Result<Mask, Errno> {
        let mut world = self.world();
        let online = world.online;
        world.find(thread).map(|t| t.mask.and(&online))
    }

    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        let mut world = self.world();
        let (online, permitted) = (world.online, world.permitted);
        let found = world.find(thread)?;
        if let Some(errno) = found.refuses {
            return Err(errno);
        }
        let cut = mask.and(&found.cpuset).and(&permitted);
        if found.immovable || cut.and(&online).is_empty() {
            return Err(Errno::INVAL);
        }
        found.mask = cut;
        world.sets += 1;
        if let Some(mut event) = world.at_set.take() {
            event(&mut world);
            world.at_set.get_or_insert(event);
        }
        Ok(())
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}
