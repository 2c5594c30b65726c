//! [`Switches`]: notices when another process switches a processor that the parties are being asked about (Q4).

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd_core::HardwareId;

use super::kernel::{Kernel, List};
use super::raw;
use crate::hardware::Monitor;
use crate::hardware::uevents::{self, Action, Uevent};

/// The switch of the processor that was admitted last, until it is started or the monitor is dropped.
#[derive(Debug, Default)]
pub(super) struct Opened(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    is_monitored: bool,
    switch: Option<(HardwareId, OwnedFd)>,
}

impl Opened {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a switch that was opened. Without a monitor nothing is started, and it is closed.
    pub(super) fn keep(&self, id: HardwareId, switch: OwnedFd) {
        let mut kept = self.lock();
        kept.switch = kept.is_monitored.then_some((id, switch));
    }

    pub(super) fn take(&self, id: HardwareId) -> Option<OwnedFd> {
        self.lock().switch.take_if(|(of, _)| *of == id).map(|(_, switch)| switch)
    }
}

impl Drop for Switches {
    fn drop(&mut self) {
        // If the processor was refused, its switch is still open.
        *self.opened.lock() = Kept::default();
    }
}

/// Has a socket of its own, so that it does not depend on what the watcher of the partition has received.
#[derive(Debug)]
pub(super) struct Switches {
    kernel: Arc<dyn Kernel>,
    opened: Arc<Opened>,
    ids: Vec<HardwareId>,
    /// Without a socket, a processor that is switched on and off again is not noticed.
    socket: Option<OwnedFd>,
}

impl Switches {
    pub(super) fn new(kernel: &Arc<dyn Kernel>, opened: &Arc<Opened>, ids: &[HardwareId]) -> Self {
        let socket = kernel.monitor().ok();
        opened.lock().is_monitored = true;
        let (kernel, opened) = (Arc::clone(kernel), Arc::clone(opened));
        Self { kernel, opened, ids: ids.to_vec(), socket }
    }

    /// Reads the kernel's events. The kernel sends an event before the write to a switch returns, so no event of a completed
    /// write arrives later.
    fn heard(&mut self) -> Option<String> {
        let Some(socket) = &self.socket else { return None };
        let mut switched = None;
        loop {
            let read = uevents::drain(
                |buffer| self.kernel.receive(socket, buffer),
                |message| {
                    let event = Uevent::parse(message);
                    // A uevent without a number was sent by a process, not by the kernel.
                    let event = event.filter(|e| e.sequence.is_some() && self.ids.contains(&e.id));
                    let Some(event) = event else { return };
                    let did = match event.action {
                        Action::Online => "brought online",
                        Action::Offline => "taken offline",
                        Action::Remove => "unplugged",
                        Action::Add | Action::Bind => return,
                    };
                    switched.get_or_insert_with(|| format!("processor {} was {did}", event.id));
                },
            );
            // An error is as bad as a loss.
            let (lost, emptied) = read.map_or((true, true), |read| (read.lost, read.emptied));
            if switched.is_none() && lost {
                let says = "uevents were lost: it may have been switched";
                switched = Some(says.to_owned());
            }
            if emptied || switched.is_some() {
                return switched;
            }
        }
    }
}

impl Monitor for Switches {
    fn switched(&mut self) -> Option<String> {
        let says = match self.kernel.list(List::Online) {
            Err(errno) => {
                let errno = raw(errno);
                return Some(format!("the list of online processors cannot be read: {errno}"));
            }
            Ok(online) => match self.ids.iter().find(|id| online.contains(**id)) {
                Some(id) => format!("processor {id} was brought online"),
                None => self.heard()?,
            },
        };
        Some(format!("{says} by another process while the parties were being asked about it"))
    }
}
