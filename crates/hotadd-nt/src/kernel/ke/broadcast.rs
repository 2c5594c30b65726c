//! Runs a function on all active processors at once: `KeGenericCallDpc`, `KeIpiGenericCall`.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};

use hotadd::ProcessorIndex;
use parking_lot::Mutex;

use crate::ground::declare::nt;
use crate::ground::foreign::Shared;
use crate::ground::objects::Dpc;
use crate::ground::routine::Routine;
use crate::ground::{caller, thread, world};
use crate::kernel::ke::{dpc_queue, dpc_run, irql};

nt! {
    /// Runs a DPC routine on every active processor, and waits until all have signalled that they are done.
    fn KeGenericCallDpc(routine: usize, context: usize) { generic_call(routine, context) }

    /// Such a routine calls this at its end, with its first system argument.
    fn KeSignalCallDpcDone(count: Shared<Done>) { count.get().0.fetch_add(1, Ordering::AcqRel); }

    /// Such a routine calls this with its second system argument: it waits until all have called it. Returns 1 to one
    /// of them and 0 to the others.
    fn KeSignalCallDpcSynchronize(together: Shared<Barrier>) -> i32 {
        i32::from(together.get().wait().is_leader())
    }

    /// Runs a function on every active processor at once, at IPI_LEVEL. Returns the result of the call on the
    /// caller's processor.
    fn KeIpiGenericCall(function: usize, context: usize) -> usize { interrupt_all(function, context) }
}

/// The number of processors that are done.
pub(crate) struct Done(AtomicU32);

/// Allows one broadcast at a time. Each waits for all processors, so two that ran in a different order on each would
/// deadlock.
static ONE: Mutex<()> = Mutex::new(());

/// The state that the processors of one call share.
struct Together {
    done: Done,
    barrier: Barrier,
    /// The DPC that is passed to the routine.
    dpc: Dpc,
}

fn active() -> Vec<ProcessorIndex> {
    world::get().partition.active().iter().map(|processor| processor.index).collect()
}

fn generic_call(routine: usize, context: usize) {
    const NAME: &str = "KeGenericCallDpc";
    irql::at_most(NAME, irql::APC);
    let one = ONE.lock();
    let processors = active();
    let together = Arc::new(Together {
        done: Done(AtomicU32::new(0)),
        barrier: Barrier::new(processors.len()),
        dpc: Dpc::new(routine, context),
    });
    let (returned, all) = mpsc::channel();
    for processor in &processors {
        let (together, returned) = (Arc::clone(&together), returned.clone());
        dpc_queue::call(*processor, move || {
            let address = |part: *const ()| part as usize;
            let dpc = address((&raw const together.dpc).cast());
            let done = address((&raw const together.done).cast());
            let barrier = address((&raw const together.barrier).cast());
            dpc_run::run(routine, [dpc, context, done, barrier], false);
            // The caller waits until all have returned, so it is still there.
            let _ = returned.send(());
        });
    }
    drop(returned);
    thread::waiting(NAME, || for () in all {});
    drop(one);
    let done = together.done.0.load(Ordering::Acquire) as usize;
    if done != processors.len() {
        caller::fault(format!(
            "ran a DPC on {} processors by {NAME}, of which {done} called KeSignalCallDpcDone",
            processors.len()
        ));
    }
}

fn interrupt_all(function: usize, context: usize) -> usize {
    const NAME: &str = "KeIpiGenericCall";
    irql::at_most(NAME, irql::IPI - 1);
    let Some(routine) = Routine::new(function as *const _) else {
        caller::fault(format!("calls {NAME} with a function that is NULL"));
    };
    // The caller must stay on its processor until all have returned.
    let old = irql::raise(NAME, irql::IPI);
    let here = irql::here();
    let (returned, all) = mpsc::channel::<()>();
    for processor in active().into_iter().filter(|processor| *processor != here) {
        let returned = returned.clone();
        dpc_queue::interrupt(processor, move || {
            let own = thread::own();
            // The level is set and not raised: an interrupt does not wait until the processor is free.
            own.irql.set(irql::IPI);
            // SAFETY: the caller guarantees that it is a KIPI_BROADCAST_WORKER.
            unsafe { routine.call([context, 0, 0, 0]) };
            own.irql.set(irql::PASSIVE);
            drop(returned);
        });
    }
    drop(returned);
    // SAFETY: the caller of KeIpiGenericCall guarantees that it is a KIPI_BROADCAST_WORKER.
    let result = unsafe { routine.call([context, 0, 0, 0]) };
    for () in all {}
    irql::lower(NAME, old);
    result
}
