//! The objects that drivers wait for, as laid out in a driver's memory.
//!
//! They are read and written as atomics: a driver may read one while another of its threads is in a function of this
//! crate, and its memory may have any content before initialisation. An object does not record its waiters, so an
//! object that is copied, reinitialised or freed leaves no stale state.

use std::mem::offset_of;
use std::sync::atomic::{
    AtomicI32, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

/// `DISPATCHER_HEADER`: the beginning of every object that can be waited for.
#[repr(C)]
pub(crate) struct Header {
    kind: AtomicU8,
    _flags: [AtomicU8; 3],
    /// Above zero if a wait for it succeeds.
    state: AtomicI32,
    _waiters: [AtomicUsize; 2],
}

/// The kind of an object. The values are those of the public headers where they name them.
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

    /// Initialises this memory as an object of this kind.
    pub(crate) fn initialize(&self, kind: Kind, state: i32) {
        self.kind.store(kind as u8, Ordering::Relaxed);
        for waiters in &self._waiters {
            waiters.store(&raw const self._waiters as usize, Ordering::Relaxed);
        }
        self.state.store(state, Ordering::Release);
    }

    /// The kind; `None` if the object was never initialised.
    pub(crate) fn kind(&self) -> Option<Kind> {
        let kind = self.kind.load(Ordering::Relaxed);
        Kind::ALL.into_iter().find(|one| *one as u8 == kind)
    }

    pub(crate) fn state(&self) -> i32 {
        self.state.load(Ordering::Acquire)
    }

    /// Only under the dispatcher's lock. Returns the old state.
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

/// The object that a driver's `PETHREAD` points to. Its layout is private to this crate.
#[repr(C)]
pub(crate) struct Thread {
    /// Above zero when it has ended.
    pub(crate) header: Header,
    /// Its thread id on this machine.
    pub(crate) number: AtomicU32,
    /// Its exit status.
    pub(crate) status: AtomicI32,
    /// The priority that a driver set. It does not affect this machine's scheduler.
    pub(crate) priority: AtomicI32,
    pub(crate) base_priority: AtomicI32,
}

impl Thread {
    pub(crate) fn new() -> Self {
        /// The middle of the priorities below real time, with which system threads start.
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
    /// The index of its target processor plus one, or 0.
    pub(crate) target: AtomicU16,
    _entry: [AtomicUsize; 2],
    pub(crate) routine: AtomicUsize,
    pub(crate) context: AtomicUsize,
    pub(crate) arguments: [AtomicUsize; 2],
    /// The index of the processor in whose queue it is plus one, or 0.
    pub(crate) queued: AtomicUsize,
}

impl Dpc {
    /// A DPC of this crate, which is never queued.
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
