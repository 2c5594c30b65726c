//! What a thread has when driver code runs on it: the processor block that gs points to, its IRQL, and where it is pinned.

use std::cell::{Cell, RefCell};
use std::mem::offset_of;
use std::ptr;

use hotadd::{ActiveSet, HardwareId, Processor, ProcessorIndex, ProcessorNumber};

use crate::ground::objects::Thread;
use crate::ground::stack::Watched;
use crate::ground::{counts, world};

/// The processor block: drivers read it through gs, inlined by their compilers, so its places are fixed. Ours is one for
/// each thread.
#[repr(C, align(64))]
pub(crate) struct Block {
    _to_itself: [u8; 0x18],
    /// Where the block itself is.
    itself: Cell<*const Self>,
    /// Where its second part is.
    second: Cell<*const u8>,
    _to_number: [u8; 0x184 - 0x28],
    /// The number of the current processor, as mingw's headers read it.
    number: Cell<u32>,
    /// The current thread's object.
    thread: Cell<*const u8>,
    _to_again: [u8; 0x1a4 - 0x190],
    /// The number of the current processor, as the WDK's headers read it.
    again: Cell<u32>,
    _rest: [u8; 0x1000 - 0x1a8],
    /// What nobody but us looks at.
    own: Own,
}

const _: () = assert!(offset_of!(Block, itself) == 0x18);
const _: () = assert!(offset_of!(Block, second) == 0x20);
const _: () = assert!(offset_of!(Block, number) == 0x184);
const _: () = assert!(offset_of!(Block, thread) == 0x188);
const _: () = assert!(offset_of!(Block, again) == 0x1a4);

/// The part of a [`Block`] that has no fixed place.
pub(crate) struct Own {
    /// The interrupt request level: 0 is PASSIVE, 1 APC, 2 DISPATCH. Changed by `ke::irql` alone.
    pub(crate) irql: Cell<u8>,
    /// How many critical and guarded regions it is in.
    pub(crate) regions: Cell<u32>,
    /// The locks that it holds, by what they are and where, in the order of acquiring.
    pub(crate) held: RefCell<Vec<(Held, usize)>>,
    /// The function in which it waits at the moment.
    waits_in: Cell<Option<&'static str>>,
    /// Where a driver confined it to.
    confined: Cell<Option<Confined>>,
    /// The processor that it has to itself, as it is at DISPATCH_LEVEL or above.
    pub(crate) alone_on: Cell<Option<ProcessorIndex>>,
    /// How many calls into drivers it is in the middle of.
    pub(crate) calls: Cell<u32>,
    /// What the handling of faults knows of it.
    pub(crate) watched: Watched,
    /// If a driver made it: where its stack is taken back to when it ends.
    pub(crate) base: Cell<usize>,
    /// What a driver has as its `PETHREAD`.
    pub(crate) object: Thread,
}

/// What a thread can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    SpinLock,
    FastMutex,
    GuardedMutex,
    Mutex,
    PushLockShared,
    PushLockExclusive,
    ResourceShared,
    ResourceExclusive,
}

impl Held {
    /// What a driver's author calls it.
    const fn name(self) -> &'static str {
        match self {
            Self::SpinLock => "spin lock",
            Self::FastMutex => "fast mutex",
            Self::GuardedMutex => "guarded mutex",
            Self::Mutex => "mutex",
            Self::PushLockShared => "push lock (shared)",
            Self::PushLockExclusive => "push lock",
            Self::ResourceShared => "resource (shared)",
            Self::ResourceExclusive => "resource",
        }
    }
}

impl Own {
    /// What a driver names this thread by.
    pub(crate) fn id(&self) -> usize {
        &raw const self.object as usize
    }

    /// Writes down that it acquired a lock.
    pub(crate) fn acquired(&self, what: Held, address: usize) {
        self.held.borrow_mut().push((what, address));
    }

    /// Strikes a lock out. `false` if it did not hold it.
    pub(crate) fn released(&self, what: Held, address: usize) -> bool {
        let mut held = self.held.borrow_mut();
        let at = held.iter().rposition(|one| *one == (what, address));
        at.map(|at| held.remove(at)).is_some()
    }

    /// How many times it holds a lock.
    pub(crate) fn holds(&self, what: Held, address: usize) -> usize {
        self.held.borrow().iter().filter(|one| **one == (what, address)).count()
    }

    /// What it must not return from a callback with, as the end of a sentence. Push locks, regions and the like may be held from
    /// AddStart to the outcome, as both come on one thread (A7).
    pub(crate) fn leftovers(&self) -> Option<String> {
        self.leftover(0, |what| what == Held::SpinLock, false)
    }

    /// What it must not end with, or return with from what was called at that level.
    pub(crate) fn all_leftovers(&self, level: u8) -> Option<String> {
        self.leftover(level, |_| true, true)
    }

    fn leftover(&self, level: u8, counts: impl Fn(Held) -> bool, regions: bool) -> Option<String> {
        let mut left = Vec::new();
        if self.irql.get() != level {
            left.push(format!("at IRQL {}", self.irql.get()));
        }
        for (what, address) in self.held.borrow().iter().filter(|(what, _)| counts(*what)) {
            left.push(format!("holding the {} at {address:#x}", what.name()));
        }
        if regions && self.regions.get() != 0 {
            left.push(format!("in {} critical or guarded regions", self.regions.get()));
        }
        (!left.is_empty()).then(|| left.join(", "))
    }
}

/// Some processors of one group, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confined {
    pub(crate) group: u16,
    pub(crate) mask: u64,
}

thread_local! {
    static BLOCK: Cell<*const Block> = const { Cell::new(ptr::null()) };
}

/// This thread's block, if it has one. May be called from a signal handler.
fn block() -> Option<&'static Block> {
    // SAFETY: null, or what `enter` has leaked on this thread. All that changes in it are cells, which no other thread has.
    unsafe { BLOCK.get().as_ref() }
}

/// Makes a thread ready for driver code. Cheap when it is ready already.
pub(crate) fn enter() -> &'static Block {
    if let Some(block) = block() {
        block.locate();
        return block;
    }
    // Leaked: a driver may have kept the address of its thread. 4 KiB for each thread that ever ran driver code.
    let block: &'static Block = Box::leak(Box::new(Block {
        _to_itself: [0; _],
        itself: Cell::new(ptr::null()),
        second: Cell::new(ptr::null()),
        _to_number: [0; _],
        number: Cell::new(0),
        thread: Cell::new(ptr::null()),
        _to_again: [0; _],
        again: Cell::new(0),
        _rest: [0; _],
        own: Own {
            irql: Cell::new(0),
            regions: Cell::new(0),
            held: RefCell::default(),
            waits_in: Cell::new(None),
            confined: Cell::new(None),
            alone_on: Cell::new(None),
            calls: Cell::new(0),
            watched: Watched::begin(),
            base: Cell::new(0),
            object: Thread::new(),
        },
    }));
    block.itself.set(block);
    block.second.set(ptr::from_ref(block).wrapping_byte_add(0x180).cast());
    block.thread.set((&raw const block.own.object).cast());
    BLOCK.set(block);
    set_gs(ptr::from_ref(block) as usize);
    block.locate();
    block
}

/// The function in which this thread waits. May be called from a signal handler.
pub(crate) fn waits_in() -> Option<&'static str> {
    existing()?.waits_in.get()
}

/// Waits, in a function that a driver called by this name.
pub(crate) fn waiting<T>(function: &'static str, wait: impl FnOnce() -> T) -> T {
    let own = own();
    own.waits_in.set(Some(function));
    let result = wait();
    own.waits_in.set(None);
    result
}

/// This thread's own part, if it ever was ready for driver code. May be called from a signal handler.
pub(crate) fn existing() -> Option<&'static Own> {
    block().map(|block| &block.own)
}

/// This thread's own part, ready for use. Unlike [`enter`] it does not look where the thread is.
pub(crate) fn own() -> &'static Own {
    &block().unwrap_or_else(enter).own
}

/// Lets gs point there, on this thread. Nothing else on x86-64 Linux uses it.
fn set_gs(base: usize) {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: an address of this process, and no code of ours reads through gs.
    let done = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
    assert_eq!(done, 0, "the kernel lets a program choose its gs");
}

impl Block {
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// Writes down where the thread is at this moment, and how many processors there are.
    pub(crate) fn locate(&self) {
        counts::refresh(&world::get().partition.active());
        let number = current_processor().map_or(0, |processor| processor.index.get());
        self.number.set(number);
        self.again.set(number);
    }
}

/// Where a driver confined this thread to.
pub(crate) fn confined() -> Option<Confined> {
    own().confined.get()
}

/// Confines this thread, to processors that are active and have these hardware ids. When it returns the thread runs there; on
/// simulated processors it only looks so.
pub(crate) fn confine(
    to: Confined,
    ids: impl IntoIterator<Item = HardwareId>,
) -> rustix::io::Result<()> {
    let block = enter();
    if world::get().real {
        run_on(ids)?;
    }
    block.own.confined.set(Some(to));
    block.locate();
    Ok(())
}

/// Confines this thread to one processor.
pub(crate) fn pin(to: Processor) -> rustix::io::Result<()> {
    let number = to.number();
    confine(Confined { group: number.group, mask: 1 << number.number }, [to.id])
}

/// Makes this thread look as if it were on one processor, wherever it runs.
pub(crate) fn pretend(at: Processor) {
    let number = at.number();
    let block = enter();
    block.own.confined.set(Some(Confined { group: number.group, mask: 1 << number.number }));
    block.locate();
}

/// Lets this thread run on the whole partition again: as it is now, and as it will be, since a thread that has the
/// partition's own mask grows with it.
pub(crate) fn release() {
    let block = enter();
    if block.own.confined.take().is_none() {
        return;
    }
    if world::get().real {
        run_on_all();
    }
    block.locate();
}

/// Gives this thread the partition's own mask.
fn run_on_all() {
    let world = world::get();
    loop {
        let active = world.partition.active();
        if let Err(error) = run_on(active.iter().map(|processor| processor.id)) {
            let what = format!("a thread could not be given its affinity back: {error}");
            world.console.breach(&what);
        }
        // A change that came in between did not find this thread with the partition's mask, and left it out.
        if world.partition.epoch() == active.epoch() {
            return;
        }
    }
}

fn run_on(ids: impl IntoIterator<Item = HardwareId>) -> rustix::io::Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    // What does not fit no partition of this machine has.
    let ids = ids.into_iter().map(|id| id.0 as usize);
    ids.filter(|id| *id < rustix::thread::CpuSet::MAX_CPU).for_each(|id| cpus.set(id));
    rustix::thread::sched_setaffinity(None, &cpus)
}

/// The processor that this thread runs on, as the partition names it. A thread that may run on several may be elsewhere when
/// this returns. `None` only if it runs on a processor that never joined.
pub(crate) fn current_processor() -> Option<Processor> {
    let world = world::get();
    let active = world.partition.active();
    let block = block();
    if let Some(index) = block.and_then(|block| block.own.alone_on.get()) {
        return active.by_index(index);
    }
    let confined = block.and_then(|block| block.own.confined.get());
    // Simulated processors run nothing. There a thread is on the first of those that it may be on.
    let first = |confined: Confined| {
        let mask = match confined.mask & active.group_mask(confined.group) {
            // They have all left.
            0 => confined.mask,
            mask => mask,
        };
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let number = mask.trailing_zeros() as u8;
        active.by_number(ProcessorNumber { group: confined.group, number })
    };
    match confined {
        Some(confined) if !world.real || confined.mask.is_power_of_two() => first(confined),
        _ if world.real => {
            let cpu = u32::try_from(rustix::thread::sched_getcpu()).ok()?;
            // Nothing runs on one that is being added (A5), whatever the kernel has this thread do.
            let there = active.by_id(HardwareId(cpu))?;
            joined_in(&active, there.index)
        }
        _ => active.iter().next(),
    }
}

/// The processor of this index if it is active in a set or was: not one that is being added for the first time (A5).
pub(crate) fn joined_in(active: &ActiveSet, index: ProcessorIndex) -> Option<Processor> {
    let was = || active.known().any(|(processor, _)| processor.index == index);
    if active.contains(index) || was() { active.by_index(index) } else { None }
}
