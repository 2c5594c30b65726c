//! The probe: asks the kernel which processors it permits (H4), by a thread whose mask is widened for a moment.
//!
//! That mask must not be taken for a breach (H3). In this process it is not seen at all: a thread probes, or others read masks,
//! but not both at once. Another process recognises a probe by the name of its thread, and waits until it has ended.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, getpid};

use super::mask::Mask;
use super::threads::{Masks, Owner, Processes};
use crate::hardware::file::errno;

/// The thread that probes if the calling thread's mask must not change.
const PROBE: &str = "hotadd-probe";

/// A thread that may probe by itself.
pub(in crate::hardware) const WATCHER: &str = "hotadd-watch";

/// How long one check waits for probes of other processes, in all. A probe takes microseconds, unless its thread must wait for
/// a processor.
const PATIENCE: Duration = Duration::from_millis(100);

/// Held while the masks of threads are read and set, and while a thread probes.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no thread of this process is probing, and keeps it so. Not reentrant.
pub(super) fn none_probes() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The online processors that the kernel permits this process to use, whatever its current masks are. Uses a thread of its own,
/// so that no existing thread's mask is changed.
pub(in crate::hardware) fn permitted() -> Result<Mask, Errno> {
    thread::scope(|scope| {
        let named = thread::Builder::new().name(PROBE.into());
        let thread = named.spawn_scoped(scope, permitted_here).map_err(|e| errno(&e))?;
        thread.join().unwrap_or(Err(Errno::IO))
    })
}

/// The same, determined on the calling thread, whose mask changes for a moment. Only a [`WATCHER`] may call this: other
/// processes recognise it by its name.
pub(in crate::hardware) fn permitted_here() -> Result<Mask, Errno> {
    // No file in /proc or /sys gives this on every kernel, and a container may show other contents (H4). But the kernel
    // limits a mask to what it permits, so a thread that asks for all processors can read the permitted ones back. The
    // kernel omits offline processors from what it reads.
    let _turn = none_probes();
    let before = Mask::current()?;
    Mask::full().adopt()?;
    let permitted = Mask::current();
    before.adopt()?;
    permitted
}

/// All processors that the threads of this process may run on, by their own masks (H4). A thread that ends meanwhile is
/// skipped.
pub(in crate::hardware) fn reach(kernel: &dyn Processes, process: Pid) -> Result<Mask, Errno> {
    let _turn = none_probes();
    let mut all = Mask::none();
    for thread in kernel.threads(process)? {
        match kernel.mask(thread) {
            Ok(mask) => all = all.or(&mask),
            Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(all)
}

/// What is left of one check's [`PATIENCE`].
#[derive(Debug, Default)]
pub(super) struct Patience {
    until: Option<Instant>,
}

impl Patience {
    /// Whether a thread of another process, whose mask reaches outside of the set, is a probe that has ended by now. A thread of
    /// any program may have that name: if its mask stays outside, it is no probe.
    ///
    /// # Errors
    /// Those of reading the thread's mask; `ESRCH` if it has ended.
    pub(super) fn was_probe(
        &mut self,
        masks: &dyn Masks,
        thread: Pid,
        set: &Mask,
    ) -> Result<bool, Errno> {
        let Some(Owner { process, name }) = masks.owner(thread) else {
            return masks.mask(thread).map(|_| false);
        };
        // No thread of this process probes now.
        if process == getpid() || ![PROBE, WATCHER].contains(&name.as_str()) {
            return Ok(false);
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + PATIENCE);
        loop {
            if masks.mask(thread)?.is_within(set) {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            // Nothing of another process tells when its thread goes on.
            thread::yield_now();
        }
    }
}
