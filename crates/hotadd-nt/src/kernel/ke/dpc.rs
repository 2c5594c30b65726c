//! Deferred procedure calls: functions that run on one processor, at DISPATCH_LEVEL.

use std::sync::atomic::Ordering;

use hotadd::{ProcessorIndex, Status};

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Shared};
use crate::ground::objects::Dpc;
use crate::ground::rule::Rule;
use crate::ground::thread;
use crate::ground::types::{Boolean, NtStatus, ProcessorNumber, nt_status};
use crate::ground::{caller, groups, probe};
use crate::kernel::ke::dpc_queue::{self, RunBy};
use crate::kernel::ke::{dpc_run, irql, processors};

/// `DpcObject`.
const ORDINARY: u8 = 19;
/// `MediumImportance`.
const MEDIUM: u8 = 1;

nt! {
    /// Initialises a DPC without a target processor.
    fn KeInitializeDpc(dpc: Shared<Dpc>, routine: usize, context: usize) {
        initialize(dpc.get(), ORDINARY, routine, context);
    }

    /// Initialises a DPC that runs at PASSIVE_LEVEL.
    fn KeInitializeThreadedDpc(dpc: Shared<Dpc>, routine: usize, context: usize) {
        initialize(dpc.get(), dpc_run::THREADED, routine, context);
    }

    /// Queues a DPC. Returns false if it is queued already, or if its processor has not joined (A5).
    fn KeInsertQueueDpc(dpc: Shared<Dpc>, first: usize, second: usize) -> Boolean {
        Boolean::from(queue(dpc.get(), [first, second]))
    }

    /// Removes a DPC from its queue. Returns whether it was queued.
    fn KeRemoveQueueDpc(dpc: Shared<Dpc>) -> Boolean { Boolean::from(dpc_queue::remove(dpc.get())) }

    /// Waits until all currently queued DPCs have run.
    fn KeFlushQueuedDpcs() { flush() }

    /// Sets a processor of group 0 that has joined as a DPC's target. Any other number has no effect.
    fn KeSetTargetProcessorDpc(dpc: Shared<Dpc>, number: i8) { aim_old(dpc.get(), number) }

    /// Sets a DPC's target processor, which may be one that is being added (A5).
    fn KeSetTargetProcessorDpcEx(dpc: Shared<Dpc>, number: In<ProcessorNumber>) -> NtStatus {
        aim(dpc.get(), number.get())
    }

    /// Sets whether a DPC is queued at the front (2) or at the end.
    fn KeSetImportanceDpc(dpc: Shared<Dpc>, importance: i32) { set_importance(dpc.get(), importance) }
}

fn initialize(dpc: &Dpc, kind: u8, routine: usize, context: usize) {
    dpc_queue::remove(dpc);
    dpc.kind.store(kind, Ordering::Relaxed);
    dpc.importance.store(MEDIUM, Ordering::Relaxed);
    dpc.target.store(0, Ordering::Relaxed);
    dpc.routine.store(routine, Ordering::Relaxed);
    dpc.context.store(context, Ordering::Relaxed);
    dpc.queued.store(0, Ordering::Release);
}

/// The result of queueing a DPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    Now,
    /// It was queued before, and keeps its place.
    Already,
    /// Its target is the processor of this index, which has not joined.
    NotJoined(u16),
}

fn queue(dpc: &Dpc, arguments: [usize; 2]) -> bool {
    let own = thread::own();
    let aims_elsewhere = || {
        let target = dpc.target.load(Ordering::Relaxed).checked_sub(1).map(u32::from);
        target.is_some_and(|target| target != irql::here().get())
    };
    // A thread stays on its processor while its level is raised. When the level falls, the DPC runs if it is to run at
    // once. A thread that is above already stays without this.
    let raised = (own.irql.get() < irql::DISPATCH && !aims_elsewhere())
        .then(|| irql::raise("KeInsertQueueDpc", irql::DISPATCH));
    let queued = insert(dpc, arguments, None);
    if let Some(old) = raised {
        irql::lower("KeInsertQueueDpc", old);
    }
    if let Queued::NotJoined(index) = queued {
        caller::breach_of(
            Rule::InactiveTarget,
            format!(
                "queues the DPC at {:#x} for processor {index}, which has not joined (A5)",
                std::ptr::from_ref(dpc) as usize
            ),
        );
    }
    queued == Queued::Now
}

/// Queues a DPC at its target, or else at `otherwise`, or else at the caller's processor. A DPC whose target has not
/// joined is not queued: it would not run, or would run on another processor.
pub(crate) fn insert(
    dpc: &Dpc,
    arguments: [usize; 2],
    otherwise: Option<ProcessorIndex>,
) -> Queued {
    if ![ORDINARY, dpc_run::THREADED].contains(&dpc.kind.load(Ordering::Relaxed)) {
        let address = std::ptr::from_ref(dpc) as usize;
        caller::fault(format!("queues the DPC at {address:#x}, which was not initialised"));
    }
    let aimed = dpc.target.load(Ordering::Relaxed).checked_sub(1);
    let at = match aimed {
        Some(index) => match ProcessorIndex::new(index.into()).filter(|at| has_joined(*at)) {
            Some(at) => at,
            // It had another target when it was queued, and that target applies.
            None if dpc.queued.load(Ordering::Acquire) != 0 => return Queued::Already,
            None => return Queued::NotJoined(index),
        },
        None => otherwise.unwrap_or_else(irql::here),
    };
    let own = thread::own();
    match dpc_queue::insert(dpc, at, own.alone_on.get(), arguments) {
        None => return Queued::Already,
        Some(RunBy::Caller) => own.dpcs_requested.set(true),
        Some(RunBy::Queue) => {}
    }
    Queued::Now
}

fn has_joined(index: ProcessorIndex) -> bool {
    processors::joined(index).is_some()
}

fn flush() {
    irql::at_most("KeFlushQueuedDpcs", irql::PASSIVE);
    dpc_queue::flush();
}

/// The public documentation says that a number at or above the number of active processors has no effect. A processor
/// that has left still counts: drivers are not notified of that, and all numbers stay the same (X1, X3).
fn aim_old(dpc: &Dpc, number: i8) {
    let number = u8::try_from(number).map_err(|_| number);
    let place = number.map(|number| hotadd::ProcessorNumber { group: 0, number });
    let index = place.ok().and_then(groups::index).filter(|at| has_joined(*at));
    match index {
        Some(index) => aim_at(dpc, index),
        None => caller::breach_of(
            Rule::InactiveTarget,
            format!(
                "calls KeSetTargetProcessorDpc for processor {}, which is not active: the DPC keeps its target",
                number.map_or_else(i32::from, i32::from)
            ),
        ),
    }
}

fn aim(dpc: &Dpc, number: ProcessorNumber) -> NtStatus {
    if number.reserved != 0 {
        caller::breach_of(
            Rule::Reserved,
            "KeSetTargetProcessorDpcEx: PROCESSOR_NUMBER.Reserved is not zero",
        );
        return nt_status(Status::INVALID_PARAMETER);
    }
    let named = processors::by_number(number);
    probe::named(named.map(|processor| processor.index.get()));
    let Some(processor) = named else {
        return nt_status(Status::INVALID_PARAMETER);
    };
    aim_at(dpc, processor.index);
    0
}

fn aim_at(dpc: &Dpc, index: ProcessorIndex) {
    let target =
        u16::try_from(index.get() + 1).expect("there are some thousand processors at most");
    dpc.target.store(target, Ordering::Relaxed);
}

fn set_importance(dpc: &Dpc, importance: i32) {
    match u8::try_from(importance) {
        Ok(importance) if importance <= 3 => dpc.importance.store(importance, Ordering::Relaxed),
        _ => caller::breach(&format!("calls KeSetImportanceDpc with {importance}")),
    }
}
