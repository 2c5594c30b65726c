//! What the tests of tables share.
#![allow(dead_code, reason = "each test uses a part")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

static ALONE: Mutex<()> = Mutex::new(());

/// Held by each test of a file: a value waits for the readers of all tables of the process, also for those of another test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many values exist.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn value(&self) -> Value {
        self.0.fetch_add(1, Ordering::SeqCst);
        Value { word: AtomicU64::new(MAGIC), alive: self.clone() }
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

const MAGIC: u64 = 0x5afe_5afe_5afe_5afe;

/// A value that counts itself, and that can tell that it has been dropped for as long as its memory is not used again.
pub(crate) struct Value {
    word: AtomicU64,
    alive: Alive,
}

impl Value {
    /// Whether it has not been dropped.
    pub(crate) fn is_whole(&self) -> bool {
        self.word.load(Ordering::Relaxed) == MAGIC
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        assert_eq!(self.word.swap(0, Ordering::Relaxed), MAGIC, "dropped twice");
        self.alive.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Pins the thread to one CPU. Returns whether it may run there.
pub(crate) fn pin(cpu: u32) -> bool {
    let mut mask = [0_u64; 16];
    mask[cpu as usize / 64] |= 1 << (cpu % 64);
    // SAFETY: the kernel reads a mask of this size; 0 is this thread.
    unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(&mask), mask.as_ptr()) == 0 }
}

/// The CPUs that this process may run on. The thread is pinned to the last one.
pub(crate) fn cpus() -> Vec<u32> {
    (0..1024).filter(|cpu| pin(*cpu)).collect()
}
