//! The probe: asks the kernel which processors it permits (H4), by a thread whose mask is widened for a moment.
//!
//! That mask must not be taken for a breach (H3). In this process it is never seen: a thread may probe, or another may read masks, but
//! not both at once. A partition of another process recognises a probe by the name of its thread, and waits until it has ended. Any
//! program may use that name, so the partition does this only rarely.

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

/// How long a check waits for a probe of another process. A probe takes microseconds, unless its thread must wait for a processor.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long after such a wait no check waits again. A check meets a probe about once in hours. A thread whose mask is wide at
/// every other check does not probe.
const AGAIN: Duration = Duration::from_secs(10);

/// Held while the masks of threads are read and set, and while a thread probes.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no thread of this process probes. None does until the guard is dropped. Not reentrant.
pub(super) fn without_probes() -> MutexGuard<'static, ()> {
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
    let _turn = without_probes();
    let before = Mask::current()?;
    Mask::full().adopt()?;
    let permitted = Mask::current();
    before.adopt()?;
    permitted
}

/// All processors that the threads of this process may run on, by their own masks (H4). A thread that ends meanwhile is
/// skipped.
pub(in crate::hardware) fn reach(kernel: &dyn Processes, process: Pid) -> Result<Mask, Errno> {
    let _turn = without_probes();
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

/// When a check last waited for a probe of another process.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waited: Option<Instant>,
}

impl Patience {
    /// Whether a thread of another process, whose mask reaches outside of the set, is a probe that has ended by now. If its mask
    /// stays outside, or a check has waited within [`AGAIN`], it is a breach like any other.
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
        let now = Instant::now();
        let waits = self.waited.is_none_or(|waited| now >= waited + AGAIN);
        // No thread of this process probes now.
        if process == getpid() || ![PROBE, WATCHER].contains(&name.as_str()) || !waits {
            return Ok(false);
        }
        self.waited = Some(now);
        while !masks.mask(thread)?.is_within(set) {
            if now.elapsed() > PATIENCE {
                return Ok(false);
            }
            // Nothing of another process tells when its thread goes on.
            thread::yield_now();
        }
        Ok(true)
    }
}
