//! The threads that this crate has pinned, which follow no set.
//!
//! A thread whose mask equals the set cannot be told from one that follows the set, and a new thread with the former set cannot be told
//! from one that was created too early to get the present one. A thread that is pinned on purpose is neither. So it is known here,
//! for all partitions of this process. A partition in another process does not know it.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Mutex;

use rustix::process::Pid;
use rustix::thread::gettid;

use super::mask::Mask;
use crate::sync::lock;

static PINNED: Mutex<BTreeMap<i32, Mask>> = Mutex::new(BTreeMap::new());

/// The pinning of the thread that made it, which cannot be sent to another one. When it is dropped, the mask stays, and follows the
/// rules for all threads.
#[derive(Debug, Default)]
pub(crate) struct Pinning(PhantomData<*const ()>);

impl Pinning {
    /// Pins the calling thread.
    ///
    /// # Errors
    /// The kernel's error. The thread is then not pinned.
    pub(crate) fn pin(&self, mask: Mask) -> rustix::io::Result<()> {
        // Before the mask is set, so that no check sees the mask of a thread that is not known.
        lock(&PINNED).insert(this_thread(), mask);
        mask.adopt().inspect_err(|_| self.unpin())
    }

    /// The thread is not pinned any more.
    #[expect(clippy::unused_self, reason = "only the pinned thread calls it")]
    pub(crate) fn unpin(&self) {
        lock(&PINNED).remove(&this_thread());
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        self.unpin();
    }
}

/// Whether the thread is pinned and has the mask to which it was pinned.
pub(super) fn is_pinned(thread: Pid, mask: &Mask) -> bool {
    lock(&PINNED).get(&thread.as_raw_nonzero().get()) == Some(mask)
}

fn this_thread() -> i32 {
    gettid().as_raw_nonzero().get()
}
