//! Deferred procedure calls: work for one processor, at DISPATCH_LEVEL.

use std::sync::atomic::Ordering;

use hotadd::{ProcessorIndex, Status};

use crate::caller;
use crate::export::nt;
use crate::foreign::In;
use crate::ke::object::Dpc;
use crate::ke::{irql, lanes};
use crate::types::{Boolean, NtStatus, ProcessorNumber, nt_status};
use crate::world;

/// `DpcObject`.
const ORDINARY: u8 = 19;
/// `MediumImportance`.
const MEDIUM: u8 = 1;

nt! {
    /// Makes a DPC, aimed at no processor.
    fn KeInitializeDpc(dpc: &Dpc, routine: usize, context: usize) {
        initialize(dpc, ORDINARY, routine, context);
    }

    /// Makes a DPC that runs at PASSIVE_LEVEL.
    fn KeInitializeThreadedDpc(dpc: &Dpc, routine: usize, context: usize) {
        initialize(dpc, lanes::THREADED, routine, context);
    }

    /// Queues a DPC. Returns whether it was not queued already.
    fn KeInsertQueueDpc(dpc: &Dpc, first: usize, second: usize) -> Boolean {
        Boolean::from(insert(dpc, [first, second], None))
    }

    /// Takes a DPC out of its queue. Returns whether it was in one.
    fn KeRemoveQueueDpc(dpc: &Dpc) -> Boolean { Boolean::from(lanes::remove(dpc)) }

    /// Waits until all DPCs that are queued at this moment have run.
    fn KeFlushQueuedDpcs() { flush() }

    /// Aims a DPC at a processor of group 0. It must be active when the DPC is queued.
    fn KeSetTargetProcessorDpc(dpc: &Dpc, number: i8) { aim_old(dpc, number) }

    /// Aims a DPC at an active processor.
    fn KeSetTargetProcessorDpcEx(dpc: &Dpc, number: In<ProcessorNumber>) -> NtStatus {
        aim(dpc, number.get())
    }

    /// Says whether a DPC goes to the front of the queue (2) or to its end.
    fn KeSetImportanceDpc(dpc: &Dpc, importance: i32) { set_importance(dpc, importance) }
}

fn initialize(dpc: &Dpc, kind: u8, routine: usize, context: usize) {
    lanes::remove(dpc);
    dpc.kind.store(kind, Ordering::Relaxed);
    dpc.importance.store(MEDIUM, Ordering::Relaxed);
    dpc.target.store(0, Ordering::Relaxed);
    dpc.routine.store(routine, Ordering::Relaxed);
    dpc.context.store(context, Ordering::Relaxed);
    dpc.queued.store(0, Ordering::Release);
}

/// Queues a DPC where it is aimed at, or else at `otherwise`, or else where the caller is.
pub(crate) fn insert(dpc: &Dpc, arguments: [usize; 2], otherwise: Option<ProcessorIndex>) -> bool {
    if ![ORDINARY, lanes::THREADED].contains(&dpc.kind.load(Ordering::Relaxed)) {
        let address = std::ptr::from_ref(dpc) as usize;
        caller::fault(format!("queues the DPC at {address:#x}, which was not initialised"));
    }
    let aimed = dpc.target.load(Ordering::Relaxed).checked_sub(1);
    let at = match aimed {
        Some(index) => match target(index.into()) {
            Some(at) => at,
            None => caller::fault(format!(
                "queues a DPC aimed at processor {index}, which is not active"
            )),
        },
        None => otherwise.unwrap_or_else(irql::here),
    };
    lanes::insert(dpc, at, arguments)
}

/// The processor of that index, if DPCs can run there.
fn target(index: u32) -> Option<ProcessorIndex> {
    let index = ProcessorIndex::new(index)?;
    lanes::known(index).map(|processor| processor.index)
}

fn flush() {
    irql::at_most("KeFlushQueuedDpcs", irql::PASSIVE);
    lanes::flush();
}

fn aim_old(dpc: &Dpc, number: i8) {
    let Ok(index) = u16::try_from(number) else {
        caller::breach(&format!("calls KeSetTargetProcessorDpc for processor {number}"));
        return;
    };
    dpc.target.store(index + 1, Ordering::Relaxed);
}

fn aim(dpc: &Dpc, number: ProcessorNumber) -> NtStatus {
    let place = hotadd::ProcessorNumber { group: number.group, number: number.number };
    let active = world::get().partition.active();
    let index = place.index().filter(|index| number.reserved == 0 && active.contains(*index));
    let Some(target) = index.and_then(|index| u16::try_from(index.get() + 1).ok()) else {
        return nt_status(Status::INVALID_PARAMETER);
    };
    dpc.target.store(target, Ordering::Relaxed);
    0
}

fn set_importance(dpc: &Dpc, importance: i32) {
    match u8::try_from(importance) {
        Ok(importance) if importance <= 3 => dpc.importance.store(importance, Ordering::Relaxed),
        _ => caller::breach(&format!("calls KeSetImportanceDpc with {importance}")),
    }
}
