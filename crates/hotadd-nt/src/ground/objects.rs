//! The objects that drivers wait for, as they lie in a driver's memory.
//!
//! They are read and written as atomics: a driver may look at one while another of its threads is in a function of ours, and
//! its memory may hold anything before it is initialised. Who waits for an object is not written in it, so one that is
//! copied, initialised again or freed leaves nothing behind.

use std::mem::offset_of;
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// `DISPATCHER_HEADER`: what all that can be waited for begins with.
#[repr(C)]
pub(crate) struct Header {
    kind: AtomicU8,
    _flags: [AtomicU8; 3],
    /// Above zero when a wait for it succeeds.
    state: AtomicI32,
    _waiters: [AtomicUsize; 2],
}

/// What an object is. The values are those of the public headers where they name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NotificationEvent = 0,
    SynchronizationEvent = 1,
    Mutant = 2,
    Process = 3,
    Semaphore = 5,
    Thread = 6,
    NotificationTimer = 8,
    SynchronizationTimer = 9,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::NotificationEvent,
        Self::SynchronizationEvent,
        Self::Mutant,
        Self::Process,
        Self::Semaphore,
        Self::Thread,
        Self::NotificationTimer,
        Self::SynchronizationTimer,
    ];
}

impl Header {
    pub(crate) const fn new(kind: Kind, state: i32) -> Self {
        Self {
            kind: AtomicU8::new(kind as u8),
            _flags: [const { AtomicU8::new(0) }; 3],
            state: AtomicI32::new(state),
            _waiters: [const { AtomicUsize::new(0) }; 2],
        }
    }

    /// Makes whatever is there an object of this kind.
    pub(crate) fn initialize(&self, kind: Kind, state: i32) {
        self.kind.store(kind as u8, Ordering::Relaxed);
        for waiters in &self._waiters {
            waiters.store(&raw const self._waiters as usize, Ordering::Relaxed);
        }
        self.state.store(state, Ordering::Release);
    }

    /// `None` for what was never initialised.
    pub(crate) fn kind(&self) -> Option<Kind> {
        let kind = self.kind.load(Ordering::Relaxed);
        Kind::ALL.into_iter().find(|one| *one as u8 == kind)
    }

    pub(crate) fn state(&self) -> i32 {
        self.state.load(Ordering::Acquire)
    }

    /// Only under the dispatcher's lock. Returns what it was.
    pub(crate) fn set_state(&self, state: i32) -> i32 {
        self.state.swap(state, Ordering::AcqRel)
    }

    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

/// `KEVENT`.
#[repr(C)]
pub(crate) struct Event {
    pub(crate) header: Header,
}

/// `KSEMAPHORE`.
#[repr(C)]
pub(crate) struct Semaphore {
    pub(crate) header: Header,
    pub(crate) limit: AtomicI32,
}

/// `KMUTANT`, also called `KMUTEX`. Its state is 1 when free, and one less for each time that it is owned.
#[repr(C)]
pub(crate) struct Mutant {
    pub(crate) header: Header,
    _entry: [AtomicUsize; 2],
    /// Its owner's [id](crate::ground::thread::Own::id), or 0.
    pub(crate) owner: AtomicUsize,
    pub(crate) abandoned: AtomicU8,
    _apcs: AtomicU8,
}

/// `KTIMER`.
#[repr(C)]
pub(crate) struct Timer {
    pub(crate) header: Header,
    _due: AtomicU64,
    _entry: [AtomicUsize; 2],
    _dpc: AtomicUsize,
    _processor: AtomicU32,
    _period: AtomicU32,
}

/// What stands for a thread where a driver has a `PETHREAD`. Its layout is ours.
#[repr(C)]
pub(crate) struct Thread {
    /// Above zero when it has ended.
    pub(crate) header: Header,
    /// Its number, as this machine's kernel gave it.
    pub(crate) number: AtomicU32,
    /// The status that it ended with.
    pub(crate) status: AtomicI32,
    /// What a driver set. The kernel of this machine schedules as it thinks best.
    pub(crate) priority: AtomicI32,
    pub(crate) base_priority: AtomicI32,
}

impl Thread {
    pub(crate) fn new() -> Self {
        /// The middle of what is not real time, where system threads begin.
        const PRIORITY: i32 = 8;
        Self {
            header: Header::new(Kind::Thread, 0),
            number: AtomicU32::new(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()),
            status: AtomicI32::new(0),
            priority: AtomicI32::new(PRIORITY),
            base_priority: AtomicI32::new(0),
        }
    }
}

/// `KDPC`.
#[repr(C)]
pub(crate) struct Dpc {
    pub(crate) kind: AtomicU8,
    pub(crate) importance: AtomicU8,
    /// One more than the index of the processor that it is aimed at, or 0.
    pub(crate) target: AtomicU16,
    _entry: [AtomicUsize; 2],
    pub(crate) routine: AtomicUsize,
    pub(crate) context: AtomicUsize,
    pub(crate) arguments: [AtomicUsize; 2],
    /// One more than the index of the processor in whose queue it is, or 0.
    pub(crate) queued: AtomicUsize,
}

impl Dpc {
    /// One of ours, that is never queued.
    pub(crate) const fn new(routine: usize, context: usize) -> Self {
        Self {
            kind: AtomicU8::new(0),
            importance: AtomicU8::new(0),
            target: AtomicU16::new(0),
            _entry: [const { AtomicUsize::new(0) }; 2],
            routine: AtomicUsize::new(routine),
            context: AtomicUsize::new(context),
            arguments: [const { AtomicUsize::new(0) }; 2],
            queued: AtomicUsize::new(0),
        }
    }
}

const _: () = assert!(size_of::<Header>() == 0x18);
const _: () = assert!(offset_of!(Header, state) == 4);
const _: () = assert!(size_of::<Event>() == 0x18);
const _: () = assert!(size_of::<Semaphore>() == 0x20);
const _: () = assert!(size_of::<Mutant>() == 0x38);
const _: () = assert!(offset_of!(Mutant, owner) == 0x28);
const _: () = assert!(size_of::<Timer>() == 0x40);
const _: () = assert!(size_of::<Dpc>() == 0x40);
const _: () = assert!(offset_of!(Dpc, routine) == 0x18);
const _: () = assert!(offset_of!(Dpc, queued) == 0x38);
