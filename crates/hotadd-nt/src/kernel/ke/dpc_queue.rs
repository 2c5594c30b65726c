//! Runs functions on a processor: each has a thread with a queue, which is created when it is first needed.
//!
//! A thread is pinned to its processor while it has work, and runs on the whole partition otherwise: a thread that
//! stayed pinned would prevent the processor's removal.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hotadd::{MAX_PROCESSORS, ProcessorIndex};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ground::fault::Fault;
use crate::ground::foreign::Shared;
use crate::ground::objects::Dpc;
use crate::ground::routine::Routine;
use crate::ground::thread::{self, Confined};
use crate::ground::{caller, world};
use crate::kernel::ke::irql;

/// A processor's queue.
pub(crate) struct DpcQueue {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    queue: VecDeque<Item>,
    /// Whether its thread was created.
    begun: bool,
}

/// An entry of a queue.
enum Item {
    /// A driver's DPC.
    Dpc(Shared<'static, Dpc>),
    /// A function of this crate, at PASSIVE_LEVEL.
    Call(Box<dyn FnOnce() + Send>),
}

/// The content of a DPC when it is taken from its queue. From then on the driver may reuse the DPC's memory.
struct Taken {
    dpc: usize,
    threaded: bool,
    routine: usize,
    arguments: [usize; 3],
}

impl DpcQueue {
    const fn new() -> Self {
        let state = State { queue: VecDeque::new(), begun: false };
        Self { state: Mutex::new(state), more: Condvar::new() }
    }
}

/// The DPC queue of each processor.
static DPCS: [DpcQueue; MAX_PROCESSORS as usize] =
    [const { DpcQueue::new() }; MAX_PROCESSORS as usize];

/// The queue of each processor for functions that interrupt it even while a DPC runs there.
static INTERRUPTS: [DpcQueue; MAX_PROCESSORS as usize] =
    [const { DpcQueue::new() }; MAX_PROCESSORS as usize];

/// The number of DPCs in all queues.
static QUEUED: AtomicUsize = AtomicUsize::new(0);

/// Queues a DPC with its arguments. Returns `false` if it is queued already.
pub(crate) fn insert(dpc: &Dpc, at: ProcessorIndex, arguments: [usize; 2]) -> bool {
    let queue = &DPCS[at.as_usize()];
    let mut state = queue.state.lock();
    let ticket = at.as_usize() + 1;
    if dpc.queued.compare_exchange(0, ticket, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return false;
    }
    for (place, argument) in dpc.arguments.iter().zip(arguments) {
        place.store(argument, Ordering::Relaxed);
    }
    // SAFETY: a driver keeps a DPC as long as it is queued. The item leaves the queue before the DPC is marked as not
    // queued.
    let item = Item::Dpc(unsafe { Shared::keep(dpc) });
    if dpc.importance.load(Ordering::Relaxed) == HIGH_IMPORTANCE {
        state.queue.push_front(item);
    } else {
        state.queue.push_back(item);
    }
    QUEUED.fetch_add(1, Ordering::Relaxed);
    queue.begin(&mut state, at, "dpc");
    true
}

/// `HighImportance`.
const HIGH_IMPORTANCE: u8 = 2;

/// Removes a DPC from its queue. Returns `false` if it is in none.
pub(crate) fn remove(dpc: &Dpc) -> bool {
    let Some(at) = dpc.queued.load(Ordering::Acquire).checked_sub(1) else {
        return false;
    };
    let Some(queue) = DPCS.get(at) else {
        return false;
    };
    let mut state = queue.state.lock();
    let address = std::ptr::from_ref(dpc) as usize;
    let is_it = |item: &Item| matches!(item, Item::Dpc(one) if one.address() == address);
    let Some(at) = state.queue.iter().position(is_it) else {
        return false;
    };
    state.queue.remove(at);
    QUEUED.fetch_sub(1, Ordering::Relaxed);
    dpc.queued.store(0, Ordering::Release);
    true
}

/// Runs a function on a processor, after what is queued there.
pub(crate) fn call(at: ProcessorIndex, what: impl FnOnce() + Send + 'static) {
    DPCS[at.as_usize()].push(at, "dpc", Box::new(what));
}

/// Runs a function on a processor, regardless of what runs there.
pub(crate) fn interrupt(at: ProcessorIndex, what: impl FnOnce() + Send + 'static) {
    INTERRUPTS[at.as_usize()].push(at, "ipi", Box::new(what));
}

/// Waits until everything that is currently queued has run.
pub(crate) fn flush() {
    let left = Arc::new((Mutex::new(0_usize), Condvar::new()));
    for (at, queue) in DPCS.iter().enumerate() {
        let mut state = queue.state.lock();
        if !state.begun {
            continue;
        }
        *left.0.lock() += 1;
        let done = Arc::clone(&left);
        state.queue.push_back(Item::Call(Box::new(move || {
            *done.0.lock() -= 1;
            done.1.notify_all();
        })));
        let at = u32::try_from(at).ok().and_then(ProcessorIndex::new);
        queue.begin(&mut state, at.expect("one that has a queue"), "dpc");
    }
    let mut count = left.0.lock();
    while *count != 0 {
        left.1.wait(&mut count);
    }
}

/// How many queued DPCs lie in this address range.
pub(crate) fn within(range: &Range<usize>) -> usize {
    if waiting() == 0 {
        return 0;
    }
    let is_there = |item: &&Item| matches!(item, Item::Dpc(dpc) if range.contains(&dpc.address()));
    DPCS.iter().map(|queue| queue.state.lock().queue.iter().filter(is_there).count()).sum()
}

/// How many DPCs are queued.
pub(crate) fn waiting() -> usize {
    QUEUED.load(Ordering::Relaxed)
}

impl DpcQueue {
    fn push(&'static self, at: ProcessorIndex, name: &str, what: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        state.queue.push_back(Item::Call(what));
        self.begin(&mut state, at, name);
    }

    /// Wakes its thread, or creates it.
    fn begin(&'static self, state: &mut State, at: ProcessorIndex, name: &str) {
        if state.begun {
            self.more.notify_one();
            return;
        }
        state.begun = true;
        let thread = std::thread::Builder::new().name(format!("{name}/{at}")).stack_size(STACK);
        if let Err(error) = thread.spawn(move || self.run(at)) {
            caller::fault(format!(
                "needs a thread for processor {at}, but none can be started: {error}"
            ));
        }
    }

    fn run(&self, at: ProcessorIndex) -> ! {
        loop {
            let next = self.next();
            settle(at);
            match next {
                Next::Dpc(taken) => taken.run(),
                Next::Call(call) => call(),
            }
        }
    }

    /// Waits until there is an item to run.
    fn next(&self) -> Next {
        let mut state = self.state.lock();
        loop {
            match state.queue.pop_front() {
                Some(Item::Call(call)) => return Next::Call(call),
                Some(Item::Dpc(dpc)) => return Next::Dpc(Taken::of(dpc)),
                None if thread::confined().is_some() => {
                    // The lock is not held here: releasing takes time, and other threads may want to queue something.
                    MutexGuard::unlocked(&mut state, thread::release);
                }
                None => self.more.wait(&mut state),
            }
        }
    }
}

/// The next item to run.
enum Next {
    Dpc(Taken),
    Call(Box<dyn FnOnce() + Send>),
}

/// The stack size. It is generous: a Windows DPC has 24 KiB.
const STACK: usize = 256 * 1024;

/// Pins this thread to a processor, unless it is pinned there already: the previous item may have changed the
/// affinity.
fn settle(at: ProcessorIndex) {
    let number = at.number();
    if thread::confined() == Some(Confined { group: number.group, mask: 1 << number.number }) {
        return;
    }
    let set = world::get().partition.active();
    let Some(processor) = set.by_index(at) else {
        return;
    };
    // A processor that has left in the meantime keeps its index (X3), and drivers that were not notified of the leaving may
    // use it (X1).
    if !set.contains(at) {
        thread::pretend(processor);
        return;
    }
    if let Err(error) = thread::pin(processor) {
        thread::pretend(processor);
        if !REFUSED.swap(true, Ordering::Relaxed) {
            let what = format!(
                "the affinity of processor {at}'s thread cannot be set, so its DPCs run on \
             any processor: {error}"
            );
            world::get().console.breach(&what);
        }
    }
}

/// Whether it was reported that a thread cannot be pinned. It is reported only once.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// `ThreadedDpcObject`, as the kind of a [`Dpc`].
pub(crate) const THREADED: u8 = 24;

impl Taken {
    /// Must be called under the lock of the queue that it was in.
    fn of(queued: Shared<'static, Dpc>) -> Self {
        let dpc = queued.get();
        let load = |at: &AtomicUsize| at.load(Ordering::Relaxed);
        let taken = Self {
            dpc: queued.address(),
            threaded: dpc.kind.load(Ordering::Relaxed) == THREADED,
            routine: load(&dpc.routine),
            arguments: [load(&dpc.context), load(&dpc.arguments[0]), load(&dpc.arguments[1])],
        };
        dpc.queued.store(0, Ordering::Release);
        QUEUED.fetch_sub(1, Ordering::Relaxed);
        taken
    }

    fn run(self) {
        let [context, first, second] = self.arguments;
        run(self.routine, [self.dpc, context, first, second], self.threaded);
    }
}

/// Runs a DPC routine on the processor that this thread is on.
pub(crate) fn run(routine: usize, arguments: [usize; 4], threaded: bool) {
    let Some(routine) = Routine::new(routine as *const _) else {
        caller::fault("queued a DPC whose routine is NULL");
    };
    let level = if threaded { irql::PASSIVE } else { irql::DISPATCH };
    irql::raise("a DPC", level);
    // SAFETY: the driver that initialised the DPC guarantees that it is a KDEFERRED_ROUTINE.
    unsafe { routine.call(arguments) };
    if let Some(left) = thread::own().all_leftovers(level) {
        let what = format!("returned from its DPC {left}");
        Fault::new(hotadd::Status::UNSUCCESSFUL, what, routine.address()).raise();
    }
    irql::lower("a DPC", irql::PASSIVE);
}
