//! The DPC queues. Each processor has one for DPCs and one for threaded DPCs, each with a thread that is created when it
//! is first needed. A thread that queues a DPC for its own processor runs that DPC itself (see [`insert`]).
//!
//! A queue's thread is pinned to its processor while it has work, and runs on the whole partition otherwise: a thread
//! that stayed pinned would prevent the processor's removal.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hotadd::{MAX_PROCESSORS, ProcessorIndex};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::ground::foreign::Shared;
use crate::ground::objects::Dpc;
use crate::ground::rule::Rule;
use crate::ground::thread::{self, Confined};
use crate::ground::{caller, groups, world};
use crate::kernel::ke::dpc_run::{self, Taken};
use crate::kernel::ke::irql;

/// A processor's queue.
pub(crate) struct DpcQueue {
    state: Mutex<State>,
    more: Condvar,
    kind: Kind,
}

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ordinary,
    Threaded,
    Interrupts,
}

impl Kind {
    /// The beginning of the name of its threads.
    const fn name(self) -> &'static str {
        match self {
            Self::Ordinary => "dpc",
            Self::Threaded => "threaded",
            Self::Interrupts => "ipi",
        }
    }
}

struct State {
    queue: VecDeque<Item>,
    /// Whether its thread was created.
    begun: bool,
    /// How many DPCs were taken from it and have not returned yet.
    running: usize,
}

/// An entry of a queue.
enum Item {
    /// A driver's DPC.
    Dpc(Shared<'static, Dpc>),
    /// A function of this crate, at PASSIVE_LEVEL.
    Call(Box<dyn FnOnce() + Send>),
}

impl DpcQueue {
    const fn new(kind: Kind) -> Self {
        let state = State { queue: VecDeque::new(), begun: false, running: 0 };
        Self { state: Mutex::new(state), more: Condvar::new(), kind }
    }
}

const COUNT: usize = MAX_PROCESSORS as usize;

/// The DPC queue of each processor.
static DPCS: [DpcQueue; COUNT] = [const { DpcQueue::new(Kind::Ordinary) }; COUNT];

/// The threaded DPC queue of each processor. A threaded DPC may wait for a DPC of its processor.
static THREADED: [DpcQueue; COUNT] = [const { DpcQueue::new(Kind::Threaded) }; COUNT];

/// The queue of each processor for functions that interrupt it even while a DPC runs there.
static INTERRUPTS: [DpcQueue; COUNT] = [const { DpcQueue::new(Kind::Interrupts) }; COUNT];

/// The number of DPCs in all queues.
static QUEUED: AtomicUsize = AtomicUsize::new(0);

/// The number of DPCs that were taken from queues and have not returned.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// `LowImportance` and `HighImportance`.
const LOW: u8 = 0;
const HIGH: u8 = 2;

/// The depth of a queue beyond which even a DPC of low importance is run at once. It is the documented default of
/// Windows, where an administrator can change it.
const DEPTH: usize = 4;

/// What runs a DPC that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunBy {
    /// The calling thread, which has the processor exclusively, before its level falls below DISPATCH_LEVEL.
    Caller,
    /// The thread of the queue.
    Queue,
}

/// Queues a DPC with its arguments. Returns `None` if it is queued already.
///
/// `alone_on` is the processor that the calling thread has exclusively, if any. "Organization of DPC Queues" says when
/// the processing of a queue begins: at once for a DPC of the current processor, unless its importance is low and the
/// queue is not deep.
pub(crate) fn insert(
    dpc: &Dpc,
    at: ProcessorIndex,
    alone_on: Option<ProcessorIndex>,
    arguments: [usize; 2],
) -> Option<RunBy> {
    let threaded = dpc.kind.load(Ordering::Relaxed) == dpc_run::THREADED;
    let queue = &if threaded { &THREADED } else { &DPCS }[at.as_usize()];
    let mut state = queue.state.lock();
    let ticket = at.as_usize() + 1;
    dpc.queued.compare_exchange(0, ticket, Ordering::AcqRel, Ordering::Relaxed).ok()?;
    for (place, argument) in dpc.arguments.iter().zip(arguments) {
        place.store(argument, Ordering::Relaxed);
    }
    // SAFETY: a driver keeps a DPC as long as it is queued. The item leaves the queue before the DPC is marked as not
    // queued.
    let item = Item::Dpc(unsafe { Shared::keep(dpc) });
    let importance = dpc.importance.load(Ordering::Relaxed);
    if importance == HIGH {
        state.queue.push_front(item);
    } else {
        state.queue.push_back(item);
    }
    QUEUED.fetch_add(1, Ordering::Relaxed);
    let at_once = importance != LOW || state.queue.len() > DEPTH;
    if alone_on == Some(at) && at_once && !threaded {
        return Some(RunBy::Caller);
    }
    queue.begin(&mut state, at);
    Some(RunBy::Queue)
}

/// Removes a DPC from its queue. Returns `false` if it is in none.
pub(crate) fn remove(dpc: &Dpc) -> bool {
    let Some(at) = dpc.queued.load(Ordering::Acquire).checked_sub(1) else {
        return false;
    };
    [&DPCS, &THREADED]
        .into_iter()
        .filter_map(|queues| queues.get(at))
        .any(|queue| queue.remove(dpc))
}

/// Takes the next DPC of a processor, for a thread that has the processor exclusively. It must be run, and then
/// [`returned`].
pub(crate) fn take(at: ProcessorIndex) -> Option<Taken> {
    DPCS[at.as_usize()].take()
}

/// Must be called when a DPC that was taken has returned.
pub(crate) fn returned(at: ProcessorIndex) {
    DPCS[at.as_usize()].state.lock().running -= 1;
    // Release: a thread that sees that nothing runs sees the effects of what ran.
    RUNNING.fetch_sub(1, Ordering::Release);
}

/// Runs a function on a processor, after what is queued there.
pub(crate) fn call(at: ProcessorIndex, what: impl FnOnce() + Send + 'static) {
    DPCS[at.as_usize()].push(at, Box::new(what));
}

/// Runs a function on a processor, regardless of what runs there.
pub(crate) fn interrupt(at: ProcessorIndex, what: impl FnOnce() + Send + 'static) {
    INTERRUPTS[at.as_usize()].push(at, Box::new(what));
}

/// Waits until every DPC that is currently queued, or has begun, has run.
pub(crate) fn flush() {
    // A DPC is counted as running before it is no longer counted as queued, so it is seen in one of the two. Acquire: pairs with the
    // releases where both fall.
    if QUEUED.load(Ordering::Acquire) == 0 && RUNNING.load(Ordering::Acquire) == 0 {
        return;
    }
    let left = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let queues = DPCS.iter().enumerate().chain(THREADED.iter().enumerate());
    for (at, queue) in queues {
        let mut state = queue.state.lock();
        if state.queue.is_empty() && state.running == 0 {
            continue;
        }
        *left.0.lock() += 1;
        let done = Arc::clone(&left);
        state.queue.push_back(Item::Call(Box::new(move || {
            // A DPC may be running on another thread, which has the processor exclusively.
            let old = irql::raise("a DPC queue", irql::DISPATCH);
            irql::lower("a DPC queue", old);
            *done.0.lock() -= 1;
            done.1.notify_all();
        })));
        let at = u32::try_from(at).ok().and_then(ProcessorIndex::new);
        queue.begin(&mut state, at.expect("one that has a queue"));
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
    let there = |queue: &DpcQueue| queue.state.lock().queue.iter().filter(is_there).count();
    DPCS.iter().chain(&THREADED).map(there).sum()
}

/// How many DPCs are queued.
pub(crate) fn waiting() -> usize {
    QUEUED.load(Ordering::Relaxed)
}

impl DpcQueue {
    fn push(&'static self, at: ProcessorIndex, what: Box<dyn FnOnce() + Send>) {
        let mut state = self.state.lock();
        state.queue.push_back(Item::Call(what));
        self.begin(&mut state, at);
    }

    fn remove(&self, dpc: &Dpc) -> bool {
        let mut state = self.state.lock();
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

    /// Takes the first DPC, past the functions of this crate.
    fn take(&self) -> Option<Taken> {
        let mut state = self.state.lock();
        let at = state.queue.iter().position(|item| matches!(item, Item::Dpc(_)))?;
        match state.queue.remove(at)? {
            Item::Dpc(dpc) => Some(state.take(dpc)),
            Item::Call(_) => unreachable!("the position of a DPC"),
        }
    }

    /// Wakes its thread, or creates it.
    fn begin(&'static self, state: &mut State, at: ProcessorIndex) {
        if state.begun {
            self.more.notify_one();
            return;
        }
        state.begun = true;
        let name = format!("{}/{at}", self.kind.name());
        let thread = std::thread::Builder::new().name(name).stack_size(STACK);
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
                // Another thread that has the processor may run it first.
                Next::Dpc => dpc_run::next(at),
                Next::Threaded(taken) => {
                    taken.run();
                    self.state.lock().running -= 1;
                    RUNNING.fetch_sub(1, Ordering::Release);
                }
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
                Some(Item::Dpc(dpc)) if self.kind == Kind::Threaded => {
                    return Next::Threaded(state.take(dpc));
                }
                Some(dpc) => {
                    state.queue.push_front(dpc);
                    return Next::Dpc;
                }
                None if thread::confined().is_some() => {
                    // The lock is not held here: releasing takes time, and other threads may want to queue something.
                    MutexGuard::unlocked(&mut state, thread::release);
                }
                None => self.more.wait(&mut state),
            }
        }
    }
}

impl State {
    /// From now on the DPC may be queued again.
    fn take(&mut self, dpc: Shared<'static, Dpc>) -> Taken {
        let taken = Taken::of(dpc.get(), dpc.address());
        RUNNING.fetch_add(1, Ordering::Relaxed);
        // Release: a thread that sees the lower number sees that the DPC runs.
        QUEUED.fetch_sub(1, Ordering::Release);
        self.running += 1;
        taken
    }
}

/// The next item to run.
enum Next {
    /// There is a DPC, which is taken once the thread has the processor exclusively.
    Dpc,
    Threaded(Taken),
    Call(Box<dyn FnOnce() + Send>),
}

/// The stack size. It is generous: a Windows DPC has 24 KiB.
const STACK: usize = 256 * 1024;

/// Pins this thread to a processor, unless it is pinned there already: the previous item may have changed the
/// affinity.
fn settle(at: ProcessorIndex) {
    let number = groups::number(at);
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
            world::get().breach(Rule::Misuse, what);
        }
    }
}

/// Whether it was reported that a thread cannot be pinned. It is reported only once.
static REFUSED: AtomicBool = AtomicBool::new(false);
