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
use self::quiet::Fresh;
use self::state::State;
use super::uevents::Uevent;
use crate::CpuList;

pub use self::error::HotplugError;
pub use self::options::{HotplugOptions, Intruders};

/// The machine's own processors: those that are plugged in and offline can be added, those that are online removed.
///
/// A processor is started and stopped by the kernel, for everybody on the machine, which takes root. The partition begins
/// with those that are online. What the list of online processors says is what counts: after each write it is read, and
/// whenever the kernel sends a uevent or a second has passed.
///
/// ```no_run
/// use std::sync::{Arc, mpsc};
/// use hotadd::hardware::{Hotplug, HotplugOptions};
/// use hotadd::{EventKind, Partition};
///
/// let partition = Partition::over(Arc::new(Hotplug::new(HotplugOptions::new())?))?;
/// let (sender, plugged_in) = mpsc::channel();
/// let _observation = partition.observe(move |event| {
///     if let (EventKind::Appeared, Some(id)) = (event.kind, event.id) {
///         let _ = sender.send(id);
///     }
/// })?;
/// // Those that wait already, and then each that is plugged in.
/// for id in partition.candidates().into_iter().chain(plugged_in) {
///     println!("processor {id}: {:?}", partition.add(id));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What it does not do
/// - It does not keep root from switching processors by hand. It reports that (X2, Q3), and undoes it on demand
///   ([`Intruders::Revoke`]).
/// - A start or stop that fails is not tried again (A4). The kernel's error is the result.
/// - A processor that somebody takes offline and brings back at once is noticed only by the kernel's uevent, and not at all if
///   that is lost or was never sent.
/// - One that was switched through its `hotplug/target` file, past the switch, cannot be switched back: the kernel takes the write
///   and does nothing. Starting and stopping it fail with `EIO`.
#[derive(Debug)]
pub struct Hotplug {
    kernel: Arc<dyn Kernel>,
    options: HotplugOptions,
    possible: CpuList,
    /// Held through every switching and every look, so that none of our own doing is taken for somebody else's.
    state: Mutex<State>,
    /// Somebody's wait may be over.
    settled: Condvar,
    /// Closed with this, which ends the watcher.
    watched: OnceLock<PipeWriter>,
}

impl Hotplug {
    /// The processors of this machine. Changes nothing, and needs no privilege: starting and stopping do.
    ///
    /// # Errors
    /// If the kernel does not tell which processors there are.
    pub fn new(options: HotplugOptions) -> Result<Self, HotplugError> {
        Self::on(Arc::new(Linux::new()), options)
    }

    fn on(kernel: Arc<dyn Kernel>, options: HotplugOptions) -> Result<Self, HotplugError> {
        let possible = read(&*kernel, List::Possible)?;
        read(&*kernel, List::Present)?;
        read(&*kernel, List::Online)?;
        let state = Mutex::new(State::new(Fresh::new(options.quiet), options.intruders));
        let (settled, watched) = (Condvar::new(), OnceLock::new());
        Ok(Self { kernel, options, possible, state, settled, watched })
    }

    /// What becomes from now on of processors that somebody else brings online. Those that have joined stay. Waits for a switching
    /// or a look that is under way.
    pub fn set_intruders(&self, intruders: Intruders) {
        self.lock().intruders = intruders;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the last uevent so far. If it cannot be told, no later event counts: what one says of a processor would be
    /// taken for news that may be old.
    fn sequence(&self) -> u64 {
        self.kernel.sequence().unwrap_or(u64::MAX)
    }

    /// Waits while this processor is not yet to be touched.
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

    /// For the watcher: takes note of a uevent.
    fn heard(&self, event: Uevent) {
        // What the kernel says of a processor that it cannot have is nonsense, and not to be kept.
        if self.possible.contains(event.id) && self.lock().heard(event, self.kernel.binds_last()) {
            self.settled.notify_all();
        }
    }

    /// For the watcher: whether the partition should look.
    fn is_due(&self) -> bool {
        let mut state = self.lock();
        // Then the look itself reads the lists.
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
