//! A kernel for tests: a cpuset in a cgroup with others beside it, whose processors others take, give and switch off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use hotadd_core::HardwareId;
use rustix::event::{EventfdFlags, eventfd};
use rustix::process::Pid;

use super::CpusetKind;
use super::kernel::{Errno, Holder, Kernel, Standing};
use crate::CpuList;
use crate::hardware::holding::{Mask, Masks, Owner, Stat};

type Hook = Box<dyn FnOnce(&mut World) + Send>;

#[derive(Default)]
pub(super) struct World {
    possible: BTreeSet<u32>,
    online: BTreeSet<u32>,
    /// What the cgroup above has, also what partitions have taken from it.
    above: BTreeSet<u32>,
    /// What others beside have for their own.
    pub(super) beside: BTreeMap<&'static str, BTreeSet<u32>>,
    /// What a partition inside has taken.
    pub(super) below: BTreeSet<u32>,
    cpus: BTreeSet<u32>,
    kind: Option<CpusetKind>,
    /// Which processors make a partition invalid, and the kernel's reason.
    pub(super) spoils: BTreeMap<u32, &'static str>,
    /// Invalid, why, and only a new word ends it, as on 6.1.
    stuck: Option<&'static str>,
    pub(super) is_6_1: bool,
    /// It became valid by another list, after which 6.12 no longer guards its processors.
    pub(super) is_unguarded: bool,
    /// What the next writes to the list come to. Writes beyond them work.
    pub(super) refusals: VecDeque<Option<Errno>>,
    /// What the next readings of what is effective come to. Those beyond them work.
    pub(super) readings: VecDeque<Option<Errno>>,
    /// Every list that we wrote.
    pub(super) writes: Vec<String>,
    pub(super) barred: Option<Errno>,
    /// Runs before our next write to the list.
    pub(super) before: Option<Hook>,
    /// Nobody can listen.
    pub(super) deaf: bool,
    /// The threads in it.
    threads: BTreeMap<i32, Thread>,
    /// What was effective when their masks were last brought up to date.
    applied: BTreeSet<u32>,
    sequence: u64,
    messages: VecDeque<Vec<u8>>,
    bell: Option<OwnedFd>,
    notice: Option<OwnedFd>,
}

/// A thread's mask, as the kernel keeps it.
#[derive(Clone, Debug)]
struct Thread {
    /// What was set; `None` if nothing ever was.
    asked: Option<BTreeSet<u32>>,
    /// Where it runs, as far as that is online.
    mask: BTreeSet<u32>,
}

pub(super) fn set(list: &str) -> BTreeSet<u32> {
    list.parse::<CpuList>().unwrap().ids().iter().map(|id| id.0).collect()
}

fn show(set: &BTreeSet<u32>) -> CpuList {
    set.iter().copied().map(HardwareId).collect()
}

impl World {
    /// Somebody switches a processor.
    pub(super) fn switch(&mut self, id: u32, on: bool) {
        let changed = if on { self.online.insert(id) } else { self.online.remove(&id) };
        if changed {
            self.sequence += 1;
            let action = if on { "online" } else { "offline" };
            let sequence = self.sequence;
            let text = format!("{action}@/devices/system/cpu/cpu{id}\0SEQNUM={sequence}\0");
            self.messages.push_back(text.into_bytes());
            ring(self.bell.as_ref());
        }
    }

    /// Somebody gives the cgroup above other processors. Nobody is told.
    pub(super) fn give_above(&mut self, list: &str) {
        self.above = set(list);
    }

    /// Another process writes the list.
    pub(super) fn write(&mut self, list: &str) {
        self.set_cpus(set(list));
        ring(self.notice.as_ref());
    }

    /// Another process writes the kind.
    pub(super) fn write_kind(&mut self, kind: CpusetKind) {
        self.kind = Some(kind);
        (self.stuck, self.is_unguarded) = (None, false);
        self.settle();
        ring(self.notice.as_ref());
    }

    /// A thread comes in that never set a mask. 6.12 leaves its mask alone if the cpuset has all that it had before; 6.1 does not.
    pub(super) fn attach(&mut self, thread: i32) {
        self.apply();
        let mask = if self.is_6_1 || self.effective_set() != self.free() {
            self.effective_set()
        } else {
            self.possible.clone()
        };
        self.threads.insert(thread, Thread { asked: None, mask });
        ring(self.notice.as_ref());
    }

    /// A thread sets its mask.
    pub(super) fn pin(&mut self, thread: i32, list: &str) {
        assert_eq!(self.set_mask(thread, set(list)), Ok(()));
    }

    /// The threads' masks, as `10: 0-1, 11: 0`.
    pub(super) fn masks(&mut self) -> String {
        let masks = self.thread_masks();
        let each = masks.iter().map(|(id, mask)| format!("{id}: {}", show(mask)));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The threads' masks, less what is offline.
    pub(super) fn thread_masks(&mut self) -> BTreeMap<i32, BTreeSet<u32>> {
        self.apply();
        self.threads.iter().map(|(id, thread)| (*id, &thread.mask & &self.online)).collect()
    }

    /// What is effective is brought into the masks, when it has changed.
    fn apply(&mut self) {
        let effective = self.effective_set();
        if effective == self.applied {
            return;
        }
        for thread in self.threads.values_mut() {
            let asked = thread.asked.as_ref().filter(|_| !self.is_6_1);
            let own = asked.map_or_else(|| effective.clone(), |asked| asked & &effective);
            thread.mask = if own.is_empty() { effective.clone() } else { own };
        }
        self.applied = effective;
    }

    pub(super) fn set_mask(&mut self, thread: i32, asked: BTreeSet<u32>) -> Result<(), Errno> {
        self.apply();
        let mask = &asked & &self.effective_set();
        let thread = self.threads.get_mut(&thread).ok_or(Errno::SRCH)?;
        if mask.is_empty() {
            return Err(Errno::INVAL);
        }
        *thread = Thread { asked: Some(asked), mask };
        Ok(())
    }

    /// All events that were not read are lost.
    pub(super) fn lose(&mut self) {
        self.messages.clear();
    }

    pub(super) fn cpus(&self) -> String {
        show(&self.cpus).to_string()
    }

    pub(super) fn effective(&self) -> String {
        show(&self.effective_set()).to_string()
    }

    pub(super) fn kind(&self) -> CpusetKind {
        self.kind.unwrap_or_default()
    }

    fn set_cpus(&mut self, cpus: BTreeSet<u32>) {
        self.cpus = cpus;
        if !self.is_6_1 {
            self.is_unguarded |= self.stuck.is_some();
            self.stuck = None;
        }
        self.settle();
    }

    /// A partition that cannot be one becomes invalid.
    fn settle(&mut self) {
        let why = self.cpus.iter().find_map(|id| self.spoils.get(id).copied());
        if self.kind() == CpusetKind::Member {
            self.stuck = None;
        } else if why.is_some() {
            self.stuck = why;
        }
    }

    /// What there is for us.
    fn free(&self) -> BTreeSet<u32> {
        let taken: BTreeSet<u32> = self.beside.values().flatten().copied().collect();
        let there = self.above.iter().filter(|id| self.online.contains(id));
        there.filter(|id| !taken.contains(id)).copied().collect()
    }

    fn effective_set(&self) -> BTreeSet<u32> {
        let free = self.free();
        let ours: BTreeSet<u32> = self.cpus.intersection(&free).copied().collect();
        let all = if ours.is_empty() { free } else { ours };
        all.difference(&self.below).copied().collect()
    }
}

fn ring(bell: Option<&OwnedFd>) {
    if let Some(bell) = bell {
        rustix::io::write(bell, &1_u64.to_ne_bytes()).unwrap();
    }
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<World>>);

impl Fake {
    /// A machine with these processors, all of which the cgroup above has, and a cpuset with some of them.
    pub(super) fn new(all: &str, cpus: &str, kind: CpusetKind) -> Self {
        let all = set(all);
        Self(Arc::new(Mutex::new(World {
            possible: all.clone(),
            online: all.clone(),
            above: all,
            cpus: set(cpus),
            kind: Some(kind),
            sequence: 100,
            ..World::default()
        })))
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Kernel for Fake {
    fn possible(&self) -> Result<CpuList, Errno> {
        Ok(show(&self.world().possible))
    }

    fn is_off(&self, id: HardwareId) -> bool {
        !self.world().online.contains(&id.0)
    }

    fn cpus(&self) -> Result<CpuList, Errno> {
        Ok(show(&self.world().cpus))
    }

    fn effective(&self) -> Result<CpuList, Errno> {
        let mut world = self.world();
        let errno = world.readings.pop_front().flatten();
        errno.map_or_else(|| Ok(show(&world.effective_set())), Err)
    }

    fn above(&self) -> Result<CpuList, Errno> {
        let world = self.world();
        let mut left = world.free();
        if world.kind() != CpusetKind::Member && world.stuck.is_none() {
            left.retain(|id| !world.cpus.contains(id));
        }
        Ok(show(&left))
    }

    fn standing(&self) -> Result<Standing, Errno> {
        let world = self.world();
        Ok(Standing { kind: world.kind(), invalid: world.stuck.map(str::to_owned) })
    }

    fn beside(&self) -> Result<Vec<Holder>, Errno> {
        let world = self.world();
        let holder = |(name, cpus): (&&str, &BTreeSet<u32>)| Holder {
            name: (*name).to_owned(),
            cpus: show(cpus),
        };
        Ok(world.beside.iter().map(holder).collect())
    }

    fn below(&self) -> Result<Vec<Holder>, Errno> {
        let cpus = show(&self.world().below);
        Ok(vec![Holder { name: "below".to_owned(), cpus }])
    }

    fn may_write(&self) -> Result<(), Errno> {
        self.world().barred.map_or(Ok(()), Err)
    }

    fn write_cpus(&self, cpus: &CpuList) -> Result<(), Errno> {
        let mut world = self.world();
        if let Some(hook) = world.before.take() {
            hook(&mut world);
        }
        if let Some(errno) = world.refusals.pop_front().flatten() {
            return Err(errno);
        }
        world.writes.push(cpus.to_string());
        world.set_cpus(cpus.ids().iter().map(|id| id.0).collect());
        ring(world.notice.as_ref());
        Ok(())
    }

    fn write_kind(&self, kind: CpusetKind) -> Result<(), Errno> {
        let mut world = self.world();
        // 6.1 does nothing about a word that is there already.
        if !(world.is_6_1 && world.kind() == kind) {
            world.write_kind(kind);
        }
        Ok(())
    }

    fn sequence(&self) -> Result<u64, Errno> {
        Ok(self.world().sequence)
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        let mut world = self.world();
        if world.deaf {
            return Err(Errno::PROTONOSUPPORT);
        }
        let bell = eventfd(0, EventfdFlags::NONBLOCK)?;
        world.messages.clear();
        world.bell = Some(bell.as_fd().try_clone_to_owned().unwrap());
        Ok(bell)
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let mut world = self.world();
        let Some(message) = world.messages.pop_front() else {
            rustix::io::read(socket, &mut [0; 8])?;
            return Err(Errno::AGAIN);
        };
        let length = message.len().min(buffer.len());
        buffer[..length].copy_from_slice(&message[..length]);
        Ok(Some(length))
    }

    fn threads(&self) -> Result<Vec<Pid>, Errno> {
        Ok(self.world().threads.keys().filter_map(|id| Pid::from_raw(*id)).collect())
    }

    fn masks(&self) -> &dyn Masks {
        self
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        let mut world = self.world();
        if world.deaf {
            return Err(Errno::MFILE);
        }
        let bell = eventfd(0, EventfdFlags::NONBLOCK)?;
        world.notice = Some(bell.as_fd().try_clone_to_owned().unwrap());
        Ok(bell)
    }
}

impl Masks for Fake {
    fn stat(&self, pid: Pid) -> Result<Stat, Errno> {
        let known = self.world().threads.contains_key(&pid.as_raw_nonzero().get());
        let stat = Stat { pid, parent: None, ended: false, immovable: false, born: Some(0) };
        if known { Ok(stat) } else { Err(Errno::SRCH) }
    }

    fn mask(&self, thread: Pid) -> Result<Mask, Errno> {
        let mut world = self.world();
        world.apply();
        let found = world.threads.get(&thread.as_raw_nonzero().get()).ok_or(Errno::SRCH)?;
        Ok(Mask::of((&found.mask & &world.online).into_iter().map(HardwareId)))
    }

    fn set_mask(&self, thread: Pid, mask: &Mask) -> Result<(), Errno> {
        let asked = mask.ids().map(|id| id.0).collect();
        self.world().set_mask(thread.as_raw_nonzero().get(), asked)
    }

    fn owner(&self, thread: Pid) -> Option<Owner> {
        Some(Owner { process: thread, name: "a".to_owned() })
    }

    fn ticks(&self) -> u64 {
        0
    }

    fn overwrites(&self) -> bool {
        self.world().is_6_1
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}
