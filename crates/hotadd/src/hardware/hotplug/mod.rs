//! [`Hotplug`]: the machine's own processors, switched on and off through sysfs. Needs root.

mod backend;
mod error;
#[cfg(test)]
mod fake;
mod kernel;
mod monitor;
mod options;
mod plugged;
mod quiet;
mod state;
#[cfg(test)]
mod tests;

use std::io::PipeWriter;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use hotadd_core::HardwareId;

use self::kernel::{Errno, Kernel, Linux, List};
use self::monitor::Opened;
use self::quiet::Fresh;
use self::state::State;
use super::uevents::Uevent;
use crate::CpuList;

pub use self::error::HotplugError;
pub use self::options::{HotplugOptions, Intruders};

/// The machine's own processors: offline ones that are plugged in can be added, online ones can be removed.
///
/// The kernel starts and stops a processor for the whole machine, which needs root. The partition begins with the processors
/// that are online. The list of online processors is authoritative: it is read after each write, when the kernel sends a
/// uevent, and every second.
///
/// ```no_run
/// use std::sync::{Arc, mpsc};
/// use hotadd::hardware::{Hotplug, HotplugOptions};
/// use hotadd::{EventKind, Partition};
///
/// let partition = Partition::from_hardware(Arc::new(Hotplug::new(HotplugOptions::new())?))?;
/// let (sender, plugged_in) = mpsc::channel();
/// let _observation = partition.observe(move |event| {
///     if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
///         let _ = sender.send(id);
///     }
/// })?;
/// // The present candidates, and then each processor that is plugged in.
/// for id in partition.candidates()?.into_iter().chain(plugged_in) {
///     println!("processor {id}: {:?}", partition.add(id));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it does not do
/// - It does not prevent root from switching processors by hand. It reports this (X2, Q3), and reverts it on demand
///   ([`Intruders::Revoke`]).
/// - It does not repeat a start or stop that fails (A4). The kernel's error is the result.
/// - It notices that a processor was taken offline and brought back at once only by the kernel's uevent, and not at all if
///   the uevent is lost or was never sent.
/// - It cannot switch a processor back that was switched through its `hotplug/target` file: the kernel accepts the write and does
///   nothing. Starting and stopping such a processor fail with `EIO`.
#[derive(Debug)]
pub struct Hotplug {
    kernel: Arc<dyn Kernel>,
    options: HotplugOptions,
    possible: CpuList,
    opened: Arc<Opened>,
    /// Held through every switching and every check, so that hotadd's own changes are not taken for those of other processes.
    state: Mutex<State>,
    /// Signals that a wait may be over.
    settled: Condvar,
    /// Closed when this is dropped, which ends the watcher.
    watched: OnceLock<PipeWriter>,
}

impl Hotplug {
    /// The processors of this machine. Changes nothing and needs no privilege; starting and stopping do.
    ///
    /// # Errors
    /// If the kernel does not give the list of processors.
    pub fn new(options: HotplugOptions) -> Result<Self, HotplugError> {
        Self::on(Arc::new(Linux::new()), options)
    }

    fn on(kernel: Arc<dyn Kernel>, options: HotplugOptions) -> Result<Self, HotplugError> {
        let possible = read(&*kernel, List::Possible)?;
        read(&*kernel, List::Present)?;
        read(&*kernel, List::Online)?;
        let state = Mutex::new(State::new(Fresh::new(options.quiet), options.intruders));
        let (settled, watched) = (Condvar::new(), OnceLock::new());
        let opened = Arc::default();
        Ok(Self { kernel, options, possible, opened, state, settled, watched })
    }

    /// Sets what happens from now on to processors that another process brings online. Those that have joined stay. Waits for a
    /// switching or a check in progress.
    pub fn set_intruders(&self, intruders: Intruders) {
        self.lock().intruders = intruders;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last uevent so far. If it is not available, later events are ignored: an event about a processor
    /// might be old.
    fn sequence(&self) -> u64 {
        self.kernel.sequence().unwrap_or(u64::MAX)
    }

    /// Waits until this processor may be switched.
    fn leave_alone<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: HardwareId,
    ) -> MutexGuard<'a, State> {
        while let Some(left) = state.fresh.left(id, Instant::now()) {
            let waited = self.settled.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// For the watcher: records a uevent.
    fn heard(&self, event: Uevent) {
        // A uevent about a processor that the kernel cannot have is invalid and is not recorded.
        if self.possible.contains(event.id) && self.lock().heard(event, self.kernel.binds_last()) {
            self.settled.notify_all();
        }
    }

    /// For the watcher: whether the partition should check.
    fn is_due(&self) -> bool {
        let mut state = self.lock();
        // Then the check itself reads the lists.
        if state.has_news() {
            return true;
        }
        let [online, present] = [List::Online, List::Present].map(|list| self.kernel.list(list));
        state.is_due(online.as_ref().map_err(|e| *e), present.as_ref().map_err(|e| *e))
    }
}

fn read(kernel: &dyn Kernel, list: List) -> Result<CpuList, HotplugError> {
    let fails = |e| HotplugError::Unreadable { list: list.name(), errno: raw(e) };
    kernel.list(list).map_err(fails)
}

fn raw(errno: Errno) -> hotadd_core::Errno {
    hotadd_core::Errno::from_raw(errno.raw_os_error())
}
