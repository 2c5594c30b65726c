//! Runs DPCs: on the thread of a queue, or on a thread that has the processor of the queue exclusively.

use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd::ProcessorIndex;

use crate::ground::caller;
use crate::ground::fault::Fault;
use crate::ground::objects::Dpc;
use crate::ground::routine::Routine;
use crate::ground::thread;
use crate::kernel::ke::{dpc_queue, irql};

/// `ThreadedDpcObject`, as the kind of a [`Dpc`].
pub(crate) const THREADED: u8 = 24;

/// The content of a DPC when it is taken from its queue. From then on the driver may reuse the DPC's memory.
pub(crate) struct Taken {
    dpc: usize,
    threaded: bool,
    routine: usize,
    arguments: [usize; 3],
}

impl Taken {
    /// Must be called under the lock of the queue that it was in.
    pub(crate) fn of(dpc: &Dpc, address: usize) -> Self {
        let load = |at: &AtomicUsize| at.load(Ordering::Relaxed);
        let taken = Self {
            dpc: address,
            threaded: dpc.kind.load(Ordering::Relaxed) == THREADED,
            routine: load(&dpc.routine),
            arguments: [load(&dpc.context), load(&dpc.arguments[0]), load(&dpc.arguments[1])],
        };
        dpc.queued.store(0, Ordering::Release);
        taken
    }

    /// Runs it on this thread: at the current level, if that is DISPATCH_LEVEL.
    pub(crate) fn run(self) {
        let [context, first, second] = self.arguments;
        run(self.routine, [self.dpc, context, first, second], self.threaded);
    }
}

/// Runs the next DPC of the processor that this thread is on, if there is one.
pub(crate) fn next(at: ProcessorIndex) {
    let old = irql::raise("a DPC", irql::DISPATCH);
    if let Some(taken) = dpc_queue::take(at) {
        taken.run();
        dpc_queue::returned(at);
    }
    irql::lower("a DPC", old);
}

/// Runs all DPCs of the processor that this thread has exclusively, as the interrupt does that the processor takes
/// when its level falls below DISPATCH_LEVEL.
pub(crate) fn all(at: ProcessorIndex) {
    thread::stay_on(at, || {
        while let Some(taken) = dpc_queue::take(at) {
            taken.run();
            dpc_queue::returned(at);
        }
    });
}

/// Runs a DPC routine on the processor that this thread is on.
pub(crate) fn run(routine: usize, arguments: [usize; 4], threaded: bool) {
    let Some(routine) = Routine::new(routine as *const _) else {
        caller::fault("queued a DPC whose routine is NULL");
    };
    let level = if threaded { irql::PASSIVE } else { irql::DISPATCH };
    let own = thread::own();
    let old = irql::raise("a DPC", level);
    // What the thread holds that the DPC interrupts is not the DPC's.
    let before = own.holdings();
    // SAFETY: the driver that initialised the DPC guarantees that it is a KDEFERRED_ROUTINE.
    unsafe { routine.call(arguments) };
    if let Some(left) = own.leftovers_since(before, level) {
        let what = format!("returned from its DPC {left}");
        Fault::new(hotadd::Status::UNSUCCESSFUL, what, routine.address()).raise();
    }
    irql::lower("a DPC", old);
}
