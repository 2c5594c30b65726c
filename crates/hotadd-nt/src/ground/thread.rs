//! The state of a thread that runs driver code: the processor block that gs points to, its IRQL, and the processors
//! it is pinned to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd::{ActiveSet, HardwareId, Processor, ProcessorIndex, ProcessorNumber};

use crate::ground::objects::Thread;
use crate::ground::rule::Rule;
use crate::ground::stack::Watched;
use crate::ground::{caller, counts, groups, lock_order, probe, world};

/// The processor block. Drivers read it through gs, in code inlined by their compilers, so its offsets are fixed.
/// Here each thread has its own.
#[repr(C, align(64))]
pub(crate) struct Block {
    _to_itself: [u8; 0x18],
    /// The address of the block itself.
    itself: Cell<*const Self>,
    /// The address of its second part.
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
    /// The part that only this crate reads.
    own: Own,
}

const _: () = assert!(offset_of!(Block, itself) == 0x18);
const _: () = assert!(offset_of!(Block, second) == 0x20);
const _: () = assert!(offset_of!(Block, number) == 0x184);
const _: () = assert!(offset_of!(Block, thread) == 0x188);
const _: () = assert!(offset_of!(Block, again) == 0x1a4);

/// The part of a [`Block`] that has no fixed layout.
pub(crate) struct Own {
    /// The interrupt request level: 0 is PASSIVE, 1 APC, 2 DISPATCH. Only `ke::irql` changes it.
    pub(crate) irql: Cell<u8>,
    /// The number of critical regions it is in.
    pub(crate) critical: Cell<u32>,
    /// The number of guarded regions it is in.
    pub(crate) guarded: Cell<u32>,
    /// The locks that it holds, by kind and address, in the order of acquisition.
    pub(crate) held: RefCell<Vec<(Held, usize)>>,
    /// The function in which it currently waits.
    waits_in: Cell<Option<&'static str>>,
    /// The processors to which a driver confined it.
    confined: Cell<Option<Confined>>,
    /// The processor that it has exclusively while it is at DISPATCH_LEVEL or above.
    pub(crate) alone_on: Cell<Option<ProcessorIndex>>,
    /// Whether DPCs of that processor must run before its level falls below DISPATCH_LEVEL.
    pub(crate) dpcs_requested: Cell<bool>,
    /// The number of nested calls into drivers.
    pub(crate) calls: Cell<u32>,
    /// What fault handling knows about it.
    pub(crate) watched: Watched,
    /// If a driver created it: the stack pointer to which it returns when it ends.
    pub(crate) base: Cell<usize>,
    /// The object that a driver's `PETHREAD` points to.
    pub(crate) object: Thread,
}

/// The kinds of locks that a thread can hold, and other things that it has to give back.
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
    /// A saved floating-point state, which is to be restored.
    FloatingPoint,
    ExtendedState,
    /// An attachment to a process.
    Process,
}

impl Held {
    /// Whether other threads wait for it.
    const fn is_lock(self) -> bool {
        !matches!(self, Self::FloatingPoint | Self::ExtendedState | Self::Process)
    }

    /// The name that driver authors use.
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
            Self::FloatingPoint => "floating-point state",
            Self::ExtendedState => "extended processor state",
            Self::Process => "attachment to a process",
        }
    }
}

impl Own {
    /// Reports locks that are taken in both orders.
    fn check_order(&self, what: Held, address: usize) {
        let held = self.held.borrow().iter().filter(|(what, _)| what.is_lock()).copied().collect();
        let held: Vec<(Held, usize)> = held;
        let addresses: Vec<usize> = held.iter().map(|(_, address)| *address).collect();
        let Some(before) = lock_order::take(&addresses, address) else { return };
        let kind = held.iter().find(|(_, address)| *address == before);
        let (new, old) = (what.name(), kind.map_or("lock", |(what, _)| what.name()));
        let what = format!(
            "takes a {new} while it holds a {old}, and takes them in the other order elsewhere"
        );
        caller::breach_of(Rule::LockOrder, what);
    }

    /// The identity by which a driver refers to this thread.
    pub(crate) fn id(&self) -> usize {
        &raw const self.object as usize
    }

    /// Records that it acquired a lock.
    pub(crate) fn acquired(&self, what: Held, address: usize) {
        if probe::get().is_some() && what.is_lock() {
            self.check_order(what, address);
        }
        self.held.borrow_mut().push((what, address));
    }

    /// Removes a lock from the record. Returns `false` if the thread did not hold it.
    pub(crate) fn released(&self, what: Held, address: usize) -> bool {
        let mut held = self.held.borrow_mut();
        let at = held.iter().rposition(|one| *one == (what, address));
        at.map(|at| held.remove(at)).is_some()
    }

    /// How many times it holds a lock.
    pub(crate) fn holds(&self, what: Held, address: usize) -> usize {
        self.held.borrow().iter().filter(|one| **one == (what, address)).count()
    }

    /// What it holds and must not return from a callback with, as the end of a sentence. Push locks, regions and the
    /// like may be held from AddStart to the outcome, as both are called on one thread (A7).
    pub(crate) fn leftovers(&self) -> Option<String> {
        self.leftover(0, 0, |what| what == Held::SpinLock, None)
    }

    /// What it holds and must not end with, or return with from a function that was called at that level.
    pub(crate) fn all_leftovers(&self, level: u8) -> Option<String> {
        self.leftovers_since(Holdings::default(), level)
    }

    /// The number of critical and guarded regions it is in.
    fn regions(&self) -> u32 {
        self.critical.get().saturating_add(self.guarded.get())
    }

    /// What it holds now, for [`leftovers_since`](Self::leftovers_since).
    pub(crate) fn holdings(&self) -> Holdings {
        Holdings { locks: self.held.borrow().len(), regions: self.regions() }
    }

    /// What it holds and did not hold before.
    pub(crate) fn leftovers_since(&self, before: Holdings, level: u8) -> Option<String> {
        self.leftover(level, before.locks, |_| true, Some(before.regions))
    }

    fn leftover(
        &self,
        level: u8,
        from: usize,
        counts: impl Fn(Held) -> bool,
        regions: Option<u32>,
    ) -> Option<String> {
        let mut left = Vec::new();
        if self.irql.get() != level {
            left.push(format!("at IRQL {}", self.irql.get()));
        }
        let held = self.held.borrow();
        for (what, address) in held.iter().skip(from).filter(|(what, _)| counts(*what)) {
            left.push(format!("holding the {} at {address:#x}", what.name()));
        }
        let more = regions.map_or(0, |before| self.regions().saturating_sub(before));
        if more != 0 {
            left.push(format!("in {more} critical or guarded regions"));
        }
        (!left.is_empty()).then(|| left.join(", "))
    }
}

/// How much a thread holds at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Holdings {
    locks: usize,
    regions: u32,
}

/// Some processors of one group, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confined {
    pub(crate) group: u16,
    pub(crate) mask: u64,
}

thread_local! {
    static BLOCK: Cell<*const Block> = const { Cell::new(ptr::null()) };
    /// Removes the thread from [`BY_NUMBER`] when it ends.
    static NUMBERED: Numbered = const { Numbered };
}

/// The objects of the threads that ran driver code and have not ended, by their ids on this machine.
static BY_NUMBER: Mutex<BTreeMap<usize, usize>> = Mutex::new(BTreeMap::new());

struct Numbered;

impl Drop for Numbered {
    fn drop(&mut self) {
        if let Some(own) = existing() {
            let number = own.object.number.load(Ordering::Relaxed) as usize;
            by_numbers().remove(&number);
        }
    }
}

fn by_numbers() -> MutexGuard<'static, BTreeMap<usize, usize>> {
    // A panic while the lock was held ends the process.
    BY_NUMBER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The object of the thread with this id, if it ran driver code and has not ended.
pub(crate) fn by_number(number: usize) -> Option<usize> {
    by_numbers().get(&number).copied()
}

/// This thread's block, if it has one. May be called from a signal handler.
fn block() -> Option<&'static Block> {
    // SAFETY: the pointer is null, or `enter` has leaked the block on this thread. Only cells in it change, and no
    // other thread has them.
    unsafe { BLOCK.get().as_ref() }
}

/// Prepares a thread for driver code. Cheap if it is already prepared.
pub(crate) fn enter() -> &'static Block {
    if let Some(block) = block() {
        block.locate();
        return block;
    }
    // Leaked: a driver may have kept the address of its thread. This costs 4 KiB for each thread that ever ran driver
    // code.
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
            critical: Cell::new(0),
            guarded: Cell::new(0),
            held: RefCell::default(),
            waits_in: Cell::new(None),
            confined: Cell::new(None),
            alone_on: Cell::new(None),
            dpcs_requested: Cell::new(false),
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
    by_numbers().insert(block.own.object.number.load(Ordering::Relaxed) as usize, block.own.id());
    // Fails only while the thread ends, and then nothing looks it up.
    let _ = NUMBERED.try_with(|_| {});
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

/// This thread's own part, if the thread was ever prepared for driver code. May be called from a signal handler.
pub(crate) fn existing() -> Option<&'static Own> {
    block().map(|block| &block.own)
}

/// This thread's own part, prepared for use. Unlike [`enter`] it does not update the thread's processor.
pub(crate) fn own() -> &'static Own {
    &block().unwrap_or_else(enter).own
}

/// Sets gs of this thread to this address. Nothing else on x86-64 Linux uses gs.
fn set_gs(base: usize) {
    const ARCH_SET_GS: libc::c_int = 0x1001;
    // SAFETY: it is an address of this process, and no code of this crate reads through gs.
    let done = unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) };
    assert_eq!(done, 0, "the kernel lets a program choose its gs");
}

impl Block {
    pub(crate) fn own(&self) -> &Own {
        &self.own
    }

    /// Records the thread's current processor and the number of processors.
    pub(crate) fn locate(&self) {
        counts::refresh(&world::get().partition.active());
        let number = current_processor().map_or(0, |processor| processor.index.get());
        self.number.set(number);
        self.again.set(number);
    }
}

/// The processors to which a driver confined this thread.
pub(crate) fn confined() -> Option<Confined> {
    own().confined.get()
}

/// Confines this thread to processors that are active and have these hardware ids. When it returns, the thread runs
/// there. On simulated processors it only appears to.
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
    let number = groups::number(to.index);
    confine(Confined { group: number.group, mask: 1 << number.number }, [to.id])
}

/// Makes this thread appear to run on one processor, wherever it runs.
pub(crate) fn pretend(at: Processor) {
    let number = groups::number(at.index);
    let block = enter();
    block.own.confined.set(Some(Confined { group: number.group, mask: 1 << number.number }));
    block.locate();
}

/// Runs a function on a processor that this thread counts as being on. Afterwards it may run where it could before.
pub(crate) fn stay_on(index: ProcessorIndex, run: impl FnOnce()) {
    let world = world::get();
    let confined = confined();
    let active = world.partition.active();
    let there = active.by_index(index).filter(|_| world.real && active.contains(index));
    let pinned = confined.is_some_and(|confined| confined.mask.is_power_of_two());
    // A processor that has left runs nothing (X3), so the function runs elsewhere.
    let Some(there) = there.filter(|there| !pinned && run_on([there.id]).is_ok()) else {
        return run();
    };
    drop(active);
    run();
    match confined {
        None => run_on_all(),
        Some(Confined { group, mask }) => {
            let active = world.partition.active();
            let ids = active.iter().filter(|one| {
                let number = groups::number(one.index);
                one.id != there.id && number.group == group && mask >> number.number & 1 == 1
            });
            let ids: Vec<_> = ids.map(|one| one.id).chain([there.id]).collect();
            if let Err(error) = run_on(ids) {
                let what = format!("the affinity of a thread could not be restored: {error}");
                world.breach(Rule::Misuse, what);
            }
        }
    }
}

/// Lets this thread run on the whole partition again, including processors that join later, since a thread that has
/// the partition's own mask grows with it.
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
            let what = format!("the affinity of a thread could not be restored: {error}");
            world.breach(Rule::Misuse, what);
        }
        // A change in between missed this thread, because it did not have the partition's mask yet.
        if world.partition.epoch() == active.epoch() {
            return;
        }
    }
}

fn run_on(ids: impl IntoIterator<Item = HardwareId>) -> rustix::io::Result<()> {
    let mut cpus = rustix::thread::CpuSet::new();
    // A larger id does not occur in a partition of this machine.
    let ids = ids.into_iter().map(|id| id.0 as usize);
    ids.filter(|id| *id < rustix::thread::CpuSet::MAX_CPU).for_each(|id| cpus.set(id));
    rustix::thread::sched_setaffinity(None, &cpus)
}

/// The partition's processor on which this thread runs. A thread that may run on several may have moved when this
/// returns. `None` only if it runs on a processor that never joined.
pub(crate) fn current_processor() -> Option<Processor> {
    let world = world::get();
    let active = world.partition.active();
    let block = block();
    if let Some(index) = block.and_then(|block| block.own.alone_on.get()) {
        return active.by_index(index);
    }
    let confined = block.and_then(|block| block.own.confined.get());
    // Simulated processors run nothing. There a thread counts as being on the first processor of its affinity.
    let first = |confined: Confined| {
        let mask = match confined.mask & groups::mask(&active, confined.group) {
            // All of them have left.
            0 => confined.mask,
            mask => mask,
        };
        #[expect(clippy::cast_possible_truncation, reason = "below 64")]
        let number = mask.trailing_zeros() as u8;
        active.by_index(groups::index(ProcessorNumber { group: confined.group, number })?)
    };
    match confined {
        Some(confined) if !world.real || confined.mask.is_power_of_two() => first(confined),
        _ if world.real => {
            let cpu = u32::try_from(rustix::thread::sched_getcpu()).ok()?;
            // Nothing runs on a processor that is being added (A5), wherever the kernel puts this thread.
            let there = active.by_id(HardwareId(cpu))?;
            joined_in(&active, there.index)
        }
        _ => active.iter().next(),
    }
}

/// The processor of this index if it is or was active in a set; `None` while it is being added for the first time
/// (A5).
pub(crate) fn joined_in(active: &ActiveSet, index: ProcessorIndex) -> Option<Processor> {
    let was = || active.known().any(|(processor, _)| processor.index == index);
    if active.contains(index) || was() { active.by_index(index) } else { None }
}
