//! [`Thread`]: what a thread tells about its own reads, in memory of its own.

use std::cell::Cell;
use std::ptr;

use crate::barrier;
use crate::domain::{Domain, ThreadId, domain};
use crate::sync::{AtomicU8, AtomicU64, Ordering, fence, thread_local};

/// The thread is not in the domain's list yet.
const UNREGISTERED: u8 = 1;
/// membarrier is not available: the thread executes a full barrier for each read.
const FENCED: u8 = 2;
/// The thread ends and is in the list no more. Its reads are counted in [`Domain::late`].
const LATE: u8 = 4;
/// A value waits for the end of this thread's reads. Set by the thread that frees, cleared by this one.
const BLOCKS: u8 = 8;

/// A thread's reads. Written by this thread, except for the bit `BLOCKS`; read by threads that free.
pub(crate) struct Thread {
    /// How many reads have begun. Two counts rather than one depth: a processor then has two short chains of dependent accesses instead
    /// of a long one, and guards may be dropped in any order. 64 bits do not overflow.
    enters: AtomicU64,
    /// How many have ended.
    exits: AtomicU64,
    /// Not 0 if a read must do more than count.
    attention: AtomicU8,
}

#[cfg(not(hotadd_loom))]
thread_local! {
    /// Without a destructor, so that reaching it needs no check, and so that it can be used while other destructors run.
    static THREAD: Thread = const { Thread::new() };
    static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
}

#[cfg(hotadd_loom)]
thread_local! {
    /// Loom drops all thread-locals of a thread at once, so this one is leaked.
    static THREAD: &'static Thread = Box::leak(Box::new(Thread::new()));
    static AT_EXIT: AtExit = AtExit(Cell::new(None));
}

/// Takes the thread out of the list when it ends.
struct AtExit(Cell<Option<(ThreadId, *const Thread, &'static Domain)>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        let Some((id, thread, domain)) = self.0.take() else { return };
        // SAFETY: `register` stored the address of this thread's `THREAD`, which has no destructor and whose memory is released after
        // all destructors of the thread have run.
        let thread = unsafe { &*thread };
        thread.unregister(id, domain);
    }
}

/// Begins a read of any table on this thread. [`exit`] must follow on the same thread.
#[inline]
#[cfg_attr(
    not(hotadd_loom),
    expect(clippy::redundant_closure_for_method_calls, reason = "a reference in loom")
)]
pub(crate) fn enter() {
    THREAD.with(|thread| thread.enter());
}

/// Ends a read.
#[inline]
#[cfg_attr(
    not(hotadd_loom),
    expect(clippy::redundant_closure_for_method_calls, reason = "a reference in loom")
)]
pub(crate) fn exit() {
    THREAD.with(|thread| thread.exit());
}

impl Thread {
    #[cfg(not(hotadd_loom))]
    const fn new() -> Self {
        let (enters, exits) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { enters, exits, attention: AtomicU8::new(UNREGISTERED) }
    }

    #[cfg(hotadd_loom)]
    fn new() -> Self {
        let (enters, exits) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { enters, exits, attention: AtomicU8::new(UNREGISTERED) }
    }

    /// Whether no read is open. For a thread that frees, and for this thread.
    ///
    /// `exits` is loaded first. A read that begins between the two loads makes the counts differ. If they are equal, then no read was
    /// open when `exits` was loaded: there were never more ends than beginnings. Acquire pairs with the Release in `exit`: whatever
    /// those reads did happened before this.
    pub(crate) fn is_quiet(&self) -> bool {
        let exits = self.exits.load(Ordering::Acquire);
        exits == self.enters.load(Ordering::Acquire)
    }

    /// A value waits for this thread from now on.
    pub(crate) fn block(&self) {
        // Relaxed: a barrier follows, see `Domain::readers`.
        self.attention.fetch_or(BLOCKS, Ordering::Relaxed);
    }

    #[inline]
    fn enter(&self) {
        // Relaxed, twice: only this thread writes the count. The light barrier orders the store before the load of a slot.
        let enters = self.enters.load(Ordering::Relaxed);
        self.enters.store(enters.wrapping_add(1), Ordering::Relaxed);
        // Relaxed: all bits that matter here are this thread's own.
        if self.attention.load(Ordering::Relaxed) != 0 {
            self.enter_with_attention();
        }
        barrier::light();
    }

    #[inline]
    fn exit(&self) {
        let exits = self.exits.load(Ordering::Relaxed);
        // Release: the read is over before its end can be seen.
        self.exits.store(exits.wrapping_add(1), Ordering::Release);
        // Orders the store before the load, so that either the thread that frees sees the end or this thread sees the bit.
        barrier::light();
        if self.attention.load(Ordering::Relaxed) != 0 {
            self.exit_with_attention();
        }
    }

    #[cold]
    #[inline(never)]
    fn enter_with_attention(&self) {
        let mut attention = self.attention.load(Ordering::Relaxed);
        if attention & UNREGISTERED != 0 {
            attention = self.register(domain());
        }
        if attention & LATE != 0 {
            // Release is for `Domain::is_late`, whose value may come from this addition; the fence below orders it before the load of
            // a slot.
            domain().late.fetch_add(1, Ordering::AcqRel);
        }
        if attention & (FENCED | LATE) != 0 {
            fence(Ordering::SeqCst);
        }
    }

    #[cold]
    #[inline(never)]
    fn exit_with_attention(&self) {
        if self.attention.load(Ordering::Relaxed) & LATE != 0 {
            // Release: the read is over before its end can be seen.
            if domain().late.fetch_sub(1, Ordering::AcqRel) == 1 {
                domain().retry();
            }
            return;
        }
        if self.attention.load(Ordering::Relaxed) & FENCED != 0 {
            fence(Ordering::SeqCst);
        }
        if self.attention.load(Ordering::Relaxed) & BLOCKS != 0 && self.is_quiet() {
            // Cleared before the retry: a bit that is set meanwhile belongs to a value that the retry waits for, and finds this thread
            // quiet.
            self.attention.fetch_and(!BLOCKS, Ordering::Relaxed);
            domain().retry();
        }
    }

    /// Puts the thread into the list. Returns the new attention.
    fn register(&self, domain: &'static Domain) -> u8 {
        let mode = if domain.is_forked() {
            // Nothing is freed in a forked process, so nobody looks for this thread; and the list may be locked for ever.
            0
        } else {
            let listed = AT_EXIT.try_with(|at_exit| {
                at_exit.0.set(Some((domain.register(self), ptr::from_ref(self), domain)));
            });
            match listed {
                Ok(()) if barrier::is_asymmetric() => 0,
                Ok(()) => FENCED,
                // The thread is running its last destructors: nothing would take it out of the list.
                Err(_) => LATE,
            }
        };
        // No bit is lost: the thread that frees may have set BLOCKS since the thread is in the list, and then finds this read open.
        self.attention.fetch_or(mode, Ordering::Relaxed);
        self.attention.fetch_and(!UNREGISTERED, Ordering::Relaxed) & !UNREGISTERED
    }

    /// The thread ends. Reads that are still open, in values of other thread-locals or forgotten ones, become late ones.
    fn unregister(&self, id: ThreadId, domain: &Domain) {
        if domain.is_forked() {
            return;
        }
        let open = self.enters.load(Ordering::Relaxed) - self.exits.load(Ordering::Relaxed);
        domain.unregister(id, open);
        if self.attention.swap(LATE, Ordering::Relaxed) & BLOCKS != 0 {
            domain.retry();
        }
    }
}
