//! [`Domain`]: all threads of the process that read tables, and the tables in which values wait for them.
//!
//! # Why no value is freed while it is read
//! A reader stores that it begins (R1), passes a light barrier, loads a pointer from a slot (R2), uses the value, and stores that it
//! ends (R3, Release). A thread that frees takes the pointer out of the slot (F1), passes the heavy barrier (F2), and looks at each
//! thread (F3).
//!
//! - The heavy barrier is a full barrier at some point of each thread. If R1 comes before that point, F3 sees the beginning. If it comes
//!   after it, so does R2, which then finds the slot as F1 left it. So every thread that may use the value is seen as reading at F3.
//! - A thread that was not in the list at F3 takes the list's lock later than F3 and before R2. So R2 sees F1.
//! - A thread that is quiet at F3, or at a later look, has ended all reads that it had begun before. Acquire and Release order them
//!   before the freeing.
//!
//! # Why a waiting value is freed when the last reader ends
//! A thread that is reading at F3 gets a mark. A second heavy barrier and a second look follow. The reader stores its end, passes a light
//! barrier, and loads the mark. So either the second look sees the end, or the reader sees the mark, and looks again by itself. By then
//! the table is in `waiting`: it was put there before F2.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::barrier;
use crate::sync::{AtomicU64, Mutex, Ordering, lock};
use crate::thread::Thread;

/// A number that no other thread of the process ever has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ThreadId(u64);

/// A table in which values wait.
pub(crate) trait Waiting: Send + Sync {
    /// Frees the values that nobody reads any more.
    fn retry(&self);
}

pub(crate) struct Domain {
    threads: Mutex<Threads>,
    waiting: Mutex<Vec<Weak<dyn Waiting>>>,
    /// Open reads of threads that are in the list no more, because they end.
    pub(crate) late: AtomicU64,
}

struct Threads {
    next: u64,
    listed: BTreeMap<ThreadId, Listed>,
}

struct Listed(*const Thread);

// SAFETY: the pointer is used only under the lock of the list, and a thread takes itself out of the list under this lock before its memory
// is released. The fields of `Thread` are atomics.
unsafe impl Send for Listed {}

impl Listed {
    /// Calls a closure with the thread. `self` is borrowed from the locked list.
    fn with<R>(&self, what: impl FnOnce(&Thread) -> R) -> R {
        // SAFETY: the thread is in the list, which is locked, so its memory has not been released.
        what(unsafe { &*self.0 })
    }
}

/// The readers for whom a value waits.
#[derive(Default)]
pub(crate) struct Readers {
    threads: Vec<ThreadId>,
    late: bool,
}

impl Readers {
    pub(crate) fn is_empty(&self) -> bool {
        self.threads.is_empty() && !self.late
    }
}

#[cfg(not(hotadd_loom))]
pub(crate) fn domain() -> &'static Domain {
    static DOMAIN: Domain = Domain {
        threads: Mutex::new(Threads { next: 0, listed: BTreeMap::new() }),
        waiting: Mutex::new(Vec::new()),
        late: AtomicU64::new(0),
    };
    &DOMAIN
}

#[cfg(hotadd_loom)]
loom::lazy_static! {
    /// Loom drops this before the thread-locals of the model's first thread, which use it. So it is leaked.
    static ref DOMAIN: &'static Domain = Box::leak(Box::new(Domain {
        threads: Mutex::new(Threads { next: 0, listed: BTreeMap::new() }),
        waiting: Mutex::new(Vec::new()),
        late: AtomicU64::new(0),
    }));
}

#[cfg(hotadd_loom)]
pub(crate) fn domain() -> &'static Domain {
    &DOMAIN
}

impl Domain {
    /// Whether this process was forked from one that used this crate. Then nothing is freed before its table is dropped: a value may be
    /// in use through a reference that a thread of the parent handed over, and that thread's state is not in this process.
    pub(crate) fn is_forked(&self) -> bool {
        fork::is_child()
    }

    pub(crate) fn register(&self, thread: *const Thread) -> ThreadId {
        let mut threads = lock(&self.threads);
        let id = ThreadId(threads.next);
        threads.next += 1;
        threads.listed.insert(id, Listed(thread));
        id
    }

    /// Takes a thread out of the list. Its open reads are counted before anybody can find it gone.
    pub(crate) fn unregister(&self, id: ThreadId, open: u64) {
        let mut threads = lock(&self.threads);
        self.late.fetch_add(open, Ordering::AcqRel);
        threads.listed.remove(&id);
    }

    /// The threads that may use a value that has just been taken out of its slot. `None` if this cannot be known now.
    ///
    /// The table must be [waiting](Self::wait) before.
    pub(crate) fn readers(&self) -> Option<Readers> {
        if self.is_forked() || !barrier::heavy() {
            return None;
        }
        let threads = lock(&self.threads);
        let mut reading: Vec<ThreadId> = Vec::new();
        for (id, listed) in &threads.listed {
            if listed.with(|thread| !thread.is_quiet()) {
                listed.with(Thread::block);
                reading.push(*id);
            }
        }
        if !reading.is_empty() {
            if !barrier::heavy() {
                return None;
            }
            reading.retain(|id| threads.listed[id].with(|thread| !thread.is_quiet()));
        }
        Some(Readers { threads: reading, late: self.is_late() })
    }

    /// Removes the readers that have ended their reads since.
    pub(crate) fn sift(&self, readers: &mut Readers) {
        if self.is_forked() {
            return;
        }
        let threads = lock(&self.threads);
        readers.threads.retain(|id| match threads.listed.get(id) {
            Some(listed) => listed.with(|thread| !thread.is_quiet()),
            None => {
                // Its open reads, if any, are late ones now.
                readers.late = true;
                false
            }
        });
        readers.late &= self.is_late();
    }

    /// Acquire: pairs with the Release of each end of a late read. SeqCst is not needed: a late reader executes a full fence after
    /// its addition, and `heavy` one before this.
    fn is_late(&self) -> bool {
        self.late.load(Ordering::Acquire) != 0
    }

    /// Values wait in this table. Readers that end look at it.
    pub(crate) fn wait(&self, table: Weak<dyn Waiting>) {
        let mut waiting = lock(&self.waiting);
        if !waiting.iter().any(|known| known.ptr_eq(&table)) {
            waiting.push(table);
        }
    }

    /// No value waits in this table any more.
    pub(crate) fn done(&self, table: &Weak<dyn Waiting>) {
        lock(&self.waiting).retain(|known| !known.ptr_eq(table));
    }

    /// Frees the values that nobody reads any more, in all tables.
    pub(crate) fn retry(&self) {
        if self.is_forked() {
            return;
        }
        let waiting: Vec<Arc<dyn Waiting>> =
            lock(&self.waiting).iter().filter_map(Weak::upgrade).collect();
        for table in waiting {
            table.retry();
        }
    }
}

/// Whether this process is a fork.
#[cfg(not(hotadd_loom))]
mod fork {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicBool, Ordering};

    static CHILD: AtomicBool = AtomicBool::new(false);

    pub(super) fn is_child() -> bool {
        static WATCHED: OnceLock<bool> = OnceLock::new();
        let watched = *WATCHED.get_or_init(|| {
            // SAFETY: the handler may be called in a forked process: it does one atomic store.
            unsafe { libc::pthread_atfork(None, None, Some(forked)) == 0 }
        });
        // Without the handler, any process may be a fork.
        !watched || CHILD.load(Ordering::Relaxed)
    }

    unsafe extern "C" fn forked() {
        // Relaxed: a forked process has one thread, and the threads that it starts are started later.
        CHILD.store(true, Ordering::Relaxed);
    }
}

#[cfg(hotadd_loom)]
mod fork {
    pub(super) fn is_child() -> bool {
        false
    }
}
