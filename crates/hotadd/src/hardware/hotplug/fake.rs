//! A kernel for tests: processors that are plugged, pulled and switched by others, fail, and whose events get lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard};

use hotadd_core::HardwareId;
use rustix::event::{EventfdFlags, eventfd};

use super::kernel::{Errno, Kernel, List};
use crate::CpuList;

/// By which way somebody else switches a processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Its `online` file, as we do.
    Switch,
    /// Its `hotplug/target` file: no event, and the switch does not know.
    Target,
}

/// What a reading of the socket gives: a message, a stranger's message, an error.
type Reading = Result<Option<Vec<u8>>, Errno>;

type Hook = Box<dyn FnOnce(&mut World) + Send>;

#[derive(Default)]
pub(super) struct World {
    possible: BTreeSet<u32>,
    present: BTreeSet<u32>,
    online: BTreeSet<u32>,
    /// Those whose switch says that they are on.
    on: BTreeSet<u32>,
    /// Those without a switch.
    pub(super) fixed: BTreeSet<u32>,
    /// Those whose switch is not ours to use, and why.
    pub(super) barred: BTreeMap<u32, Errno>,
    /// What the next writes to a switch come to. Writes beyond them work.
    pub(super) refusals: BTreeMap<u32, VecDeque<Errno>>,
    /// What the next readings of the online list come to. Those beyond them work.
    pub(super) readings: VecDeque<Option<Errno>>,
    /// Every write that we made.
    pub(super) writes: Vec<(u32, bool)>,
    /// Whose doing it was that this processor is online.
    pub(super) ours: BTreeMap<u32, bool>,
    /// How often somebody else brought it online.
    pub(super) brought: BTreeMap<u32, u32>,
    /// Every look at sysfs that we made, and every write.
    pub(super) looks: Vec<&'static str>,
    /// Runs before our next write; after it.
    pub(super) before: Option<Hook>,
    pub(super) after: Option<Hook>,
    /// Nobody can listen.
    pub(super) deaf: bool,
    pub(super) binds_last: bool,
    sequence: u64,
    messages: VecDeque<Reading>,
    bell: Option<OwnedFd>,
    /// What those who listen besides have not read.
    besides: BTreeMap<RawFd, VecDeque<Reading>>,
}

impl World {
    /// Somebody plugs a processor in.
    pub(super) fn plug(&mut self, id: u32) {
        if self.possible.contains(&id) && self.present.insert(id) {
            self.say("add", id);
            self.say("bind", id);
        }
    }

    /// Somebody pulls a processor out, running or not.
    pub(super) fn pull(&mut self, id: u32) {
        if self.present.contains(&id) && !self.fixed.contains(&id) {
            if self.online.contains(&id) && self.set(id, false, Way::Target, false).is_err() {
                return;
            }
            if self.on.remove(&id) {
                self.say("offline", id);
            }
            self.say("unbind", id);
            self.say("remove", id);
            self.present.remove(&id);
        }
    }

    /// Somebody else switches a processor.
    pub(super) fn switch(&mut self, id: u32, on: bool, way: Way) {
        // Who has no luck has none.
        let _ = self.set(id, on, way, false);
    }

    /// As the kernel does it.
    fn set(&mut self, id: u32, on: bool, way: Way, ours: bool) -> Result<(), Errno> {
        if !self.present.contains(&id) || self.fixed.contains(&id) {
            return Err(Errno::NOENT);
        }
        if way == Way::Switch && self.on.contains(&id) == on {
            return Ok(());
        }
        if on {
            if self.online.insert(id) {
                self.ours.insert(id, ours);
                *self.brought.entry(id).or_default() += u32::from(!ours);
            }
        } else {
            if self.online.len() == 1 && self.online.contains(&id) {
                return Err(Errno::BUSY);
            }
            self.online.remove(&id);
        }
        if way == Way::Switch {
            if on {
                self.on.insert(id)
            } else {
                self.on.remove(&id)
            };
            self.say(if on { "online" } else { "offline" }, id);
        }
        Ok(())
    }

    /// The kernel sends a uevent.
    pub(super) fn say(&mut self, action: &str, id: u32) {
        self.sequence += 1;
        let path = format!("/devices/system/cpu/cpu{id}");
        let alias = "MODALIAS=cpu:type:x86,ven0000:feature:,0000,0001\n";
        let message = format!(
            "{action}@{path}\0ACTION={action}\0DEVPATH={path}\0SUBSYSTEM=cpu\0{alias}\0SEQNUM={}\0",
            self.sequence
        );
        self.send(Ok(Some(message.into_bytes())));
    }

    /// What the next reading of the socket gives: a message, a stranger's message, an error.
    pub(super) fn send(&mut self, message: Result<Option<Vec<u8>>, Errno>) {
        self.besides.values_mut().for_each(|besides| besides.push_back(message.clone()));
        if let Some(bell) = &self.bell {
            rustix::io::write(bell, &1_u64.to_ne_bytes()).unwrap();
            self.messages.push_back(message);
        }
    }

    /// Takes back the last message, which is to come later.
    pub(super) fn take_last(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        self.messages.pop_back().unwrap()
    }

    /// All that was sent and not read is lost.
    pub(super) fn lose(&mut self) {
        self.messages.clear();
        self.send(Err(Errno::NOBUFS));
    }

    /// The same for those who listen besides.
    pub(super) fn lose_besides(&mut self) {
        for besides in self.besides.values_mut() {
            *besides = VecDeque::from([Err(Errno::NOBUFS)]);
        }
    }

    /// Whether an event that is still to be read says that this processor left.
    pub(super) fn has_said_gone(&self, id: u32) -> bool {
        let heads = ["offline", "remove"].map(|a| format!("{a}@/devices/system/cpu/cpu{id}\0"));
        let mut said = self.messages.iter().filter_map(|m| m.as_ref().ok()?.as_ref());
        said.any(|m| heads.iter().any(|head| m.starts_with(head.as_bytes())))
    }

    pub(super) fn is_present(&self, id: u32) -> bool {
        self.present.contains(&id)
    }

    pub(super) fn online(&self) -> Vec<u32> {
        self.online.iter().copied().collect()
    }
}

#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<World>>);

impl Fake {
    /// A machine that can have these processors, has those plugged in, and runs on some of them.
    pub(super) fn new(possible: &str, present: &str, online: &str) -> Self {
        let ids = |list: &str| -> BTreeSet<u32> {
            list.parse::<CpuList>().unwrap().ids().iter().map(|id| id.0).collect()
        };
        let online = ids(online);
        Self(Arc::new(Mutex::new(World {
            possible: ids(possible),
            present: ids(present),
            on: online.clone(),
            ours: online.iter().map(|id| (*id, true)).collect(),
            online,
            sequence: 100,
            ..World::default()
        })))
    }

    fn looks(&self, at: &'static str) {
        self.world().looks.push(at);
    }

    /// Why we may not use this switch.
    fn barred(&self, HardwareId(id): HardwareId) -> Result<(), Errno> {
        let world = self.world();
        match world.barred.get(&id) {
            _ if !world.present.contains(&id) || world.fixed.contains(&id) => Err(Errno::NOENT),
            Some(errno) => Err(*errno),
            None => Ok(()),
        }
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

impl Kernel for Fake {
    fn list(&self, list: List) -> Result<CpuList, Errno> {
        self.looks(list.name());
        let mut world = self.world();
        if list == List::Online
            && let Some(errno) = world.readings.pop_front().flatten()
        {
            return Err(errno);
        }
        let ids = match list {
            List::Possible => &world.possible,
            List::Present => &world.present,
            List::Online => &world.online,
        };
        Ok(ids.iter().copied().map(HardwareId).collect())
    }

    fn may_switch(&self, id: HardwareId) -> Result<(), Errno> {
        self.looks("access");
        self.barred(id)
    }

    fn open(&self, id: HardwareId) -> Result<OwnedFd, Errno> {
        self.looks("switch");
        self.barred(id)?;
        eventfd(0, EventfdFlags::NONBLOCK)
    }

    fn switch(&self, id: HardwareId, on: bool) -> Result<(), Errno> {
        // The kernel itself decides, and what it decides a test may set.
        self.switch_opened(id, &eventfd(0, EventfdFlags::NONBLOCK)?, on)
    }

    fn switch_opened(
        &self,
        HardwareId(id): HardwareId,
        _: &OwnedFd,
        on: bool,
    ) -> Result<(), Errno> {
        self.looks("write");
        let mut world = self.world();
        if let Some(hook) = world.before.take() {
            hook(&mut world);
        }
        world.writes.push((id, on));
        let refusal = world.refusals.get_mut(&id).and_then(VecDeque::pop_front);
        let result = refusal.map_or_else(|| world.set(id, on, Way::Switch, true), Err);
        if let Some(hook) = world.after.take() {
            hook(&mut world);
        }
        result
    }

    fn sequence(&self) -> Result<u64, Errno> {
        self.looks("sequence");
        Ok(self.world().sequence)
    }

    fn binds_last(&self) -> bool {
        self.world().binds_last
    }

    fn listen(&self) -> Result<OwnedFd, Errno> {
        let mut world = self.world();
        if world.deaf {
            return Err(Errno::PROTONOSUPPORT);
        }
        let bell = eventfd(0, EventfdFlags::NONBLOCK)?;
        world.messages.clear();
        world.besides.remove(&bell.as_raw_fd());
        world.bell = Some(bell.as_fd().try_clone_to_owned().unwrap());
        Ok(bell)
    }

    fn monitor(&self) -> Result<OwnedFd, Errno> {
        let mut world = self.world();
        if world.deaf {
            return Err(Errno::PROTONOSUPPORT);
        }
        let bell = eventfd(0, EventfdFlags::NONBLOCK)?;
        world.besides.insert(bell.as_raw_fd(), VecDeque::new());
        Ok(bell)
    }

    fn receive(&self, socket: &OwnedFd, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let mut world = self.world();
        if let Some(besides) = world.besides.get_mut(&socket.as_raw_fd()) {
            let message = besides.pop_front().unwrap_or(Err(Errno::AGAIN))?;
            return Ok(message.map(|message| {
                buffer[..message.len()].copy_from_slice(&message);
                message.len()
            }));
        }
        let Some(message) = world.messages.pop_front() else {
            rustix::io::read(socket, &mut [0; 8])?;
            return Err(Errno::AGAIN);
        };
        message.map(|message| {
            let message = message?;
            let length = message.len().min(buffer.len());
            buffer[..length].copy_from_slice(&message[..length]);
            Some(length)
        })
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}
