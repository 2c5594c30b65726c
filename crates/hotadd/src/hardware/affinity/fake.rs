//! A kernel for tests: processes, masks and processors that refuse, fork and hot-plug when told to.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use hotadd_core::HardwareId;
use rustix::process::Pid;

use super::kernel::{Errno, Kernel};
use crate::hardware::holding::{Mask, Masks, Owner, Processes, Stat, Table};

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
    pub(super) born: u64,
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
    /// Runs when the owner of a thread is read, once.
    pub(super) at_owner: Option<Event>,
    /// The name of every thread.
    pub(super) name: &'static str,
    /// How many masks were set.
    pub(super) sets: usize,
    pub(super) ticks: u64,
    /// Masks are kept as they were set, as from 6.2 on; otherwise whatever comes or goes overwrites all of them.
    pub(super) keeps: bool,
}

impl World {
    /// Adds a thread with its maker's mask.
    pub(super) fn born(&mut self, thread: i32, process: i32, parent: i32, mask: Mask) {
        let (cpuset, refuses) = (Mask::full(), None);
        let born = self.ticks;
        let new =
            Thread { process, parent, mask, cpuset, refuses, ended: false, immovable: false, born };
        self.threads.insert(thread, new);
    }

    /// Processors come online and go offline, or are allowed and not.
    pub(super) fn turn(&mut self, online: &str, permitted: &str) {
        (self.online, self.permitted) = (mask(online), mask(permitted));
        if !self.keeps {
            let full = self.online.and(&self.permitted);
            self.threads.values_mut().for_each(|thread| thread.mask = full);
        }
    }

    fn shown(&self, thread: &Thread) -> Mask {
        let all = self.online.and(&self.permitted);
        let own = thread.mask.and(&all);
        match self.keeps {
            // A thread must run somewhere.
            true if own.is_empty() => all,
            true => own,
            false => thread.mask.and(&self.online),
        }
    }

    /// A hand from outside, or the thread itself, sets its mask.
    pub(super) fn taskset(&mut self, thread: i32, list: &str) {
        self.threads.get_mut(&thread).unwrap().mask = mask(list);
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
            born: Some(thread.born),
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
            at_owner: None,
            name: "a",
            sets: 0,
            ticks: 100,
            keeps: false,
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
        let each = world.threads.iter().map(|(id, t)| format!("{id}: {}", world.shown(t)));
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

    fn permitted(&self) -> Result<Mask, Errno> {
        let world = self.world();
        Ok(world.permitted.and(&world.online))
    }

    fn permitted_here(&self) -> Result<Mask, Errno> {
        self.permitted()
    }

    fn is_off(&self, id: HardwareId) -> bool {
        !self.world().online.contains(id)
    }
}

impl Processes for Fake {
    fn processes(&self, but: &HashSet<Pid>) -> Result<Table, Errno> {
        let mut world = self.world();
        if let Some(mut event) = world.at_pass.pop_front() {
            event(&mut world);
        }
        let mut table = Table::default();
        for (id, _) in world.threads.iter().filter(|(id, t)| **id == t.process) {
            if but.contains(&pid(*id)) {
                table.passed.insert(pid(*id));
            } else {
                table.found.push(world.stat(*id)?);
            }
        }
        Ok(table)
    }

    fn threads(&self, process: Pid) -> Result<Vec<Pid>, Errno> {
        let world = self.world();
        let ours = world.threads.iter().filter(|(_, t)| pid(t.process) == process);
        Ok(ours.map(|(id, _)| pid(*id)).collect())
    }
}

impl Masks for Fake {
    fn stat(&self, pid: Pid) -> Result<Stat, Errno> {
        self.world().stat(pid.as_raw_nonzero().get())
    }

    fn mask(&self, thread: Pid) -> Result<Mask, Errno> {
        let mut world = self.world();
        let thread = *world.find(thread)?;
        Ok(world.shown(&thread))
    }

    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        let mut world = self.world();
        let (online, permitted) = (world.online, world.permitted);
        let keeps = world.keeps;
        let found = world.find(thread)?;
        if let Some(errno) = found.refuses {
            return Err(errno);
        }
        let cut = mask.and(&found.cpuset).and(&permitted);
        if found.immovable || cut.and(&online).is_empty() {
            return Err(Errno::INVAL);
        }
        // What was once asked for comes back when it can be had.
        found.mask = if keeps { *mask } else { cut };
        world.sets += 1;
        if let Some(mut event) = world.at_set.take() {
            event(&mut world);
            world.at_set.get_or_insert(event);
        }
        Ok(())
    }

    fn owner(&self, thread: Pid) -> Option<Owner> {
        let mut world = self.world();
        let owner =
            Owner { process: pid(world.find(thread).ok()?.process), name: world.name.to_owned() };
        if let Some(mut event) = world.at_owner.take() {
            event(&mut world);
        }
        Some(owner)
    }

    fn ticks(&self) -> u64 {
        self.world().ticks
    }

    fn overwrites(&self) -> bool {
        !self.world().keeps
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}
