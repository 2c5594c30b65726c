//! Threads that drivers make, and their end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use hotadd::Status;

use crate::ground::export::nt;
use crate::ground::fault::Fault;
use crate::ground::foreign::Out;
use crate::ground::routine::Routine;
use crate::ground::types::{NtStatus, nt_status};
use crate::ground::{caller, thread};
use crate::kernel::ke::{dispatch, irql};
use crate::kernel::ob::handles;
use crate::kernel::ob::references::Kind;
use crate::kernel::ps::base;

nt! {
    /// Makes a thread that runs a function. It ends when the function returns, or calls PsTerminateSystemThread.
    fn PsCreateSystemThread(
        handle: Out<usize>,
        _access: u32,
        _attributes: usize,
        _process: usize,
        id: Out<[usize; 2]>,
        routine: usize,
        context: usize,
    ) -> NtStatus {
        match create(routine, context) {
            Ok((made, number)) => {
                id.put_if_wanted([std::process::id() as usize, number]);
                handle.put(made);
                0
            }
            Err(status) => nt_status(status),
        }
    }

    /// Ends the calling thread, if a driver made it. Returns only if none did.
    fn PsTerminateSystemThread(status: NtStatus) -> NtStatus { terminate(status) }
}

/// How many are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Many times what Windows gives (24 KiB): ours in between take some.
const STACK: usize = 1 << 20;

/// What a thread runs.
struct Start {
    routine: Routine,
    context: usize,
}

fn create(routine: usize, context: usize) -> Result<(usize, usize), Status> {
    irql::at_most("PsCreateSystemThread", irql::PASSIVE);
    let routine = Routine::new(routine as *const _).ok_or(Status::INVALID_PARAMETER)?;
    let start = Start { routine, context };
    let (tell, made) = mpsc::channel();
    let builder = std::thread::Builder::new().name("driver".to_owned()).stack_size(STACK);
    let body = move || {
        let own = thread::own();
        let number = own.object.number.load(Ordering::Relaxed) as usize;
        // It is made when there is a handle for it: before its function can end.
        let _ = tell.send((handles::open(own.id(), Kind::Thread), number));
        run(&start);
    };
    RUNNING.fetch_add(1, Ordering::AcqRel);
    if builder.spawn(body).is_err() {
        RUNNING.fetch_sub(1, Ordering::AcqRel);
        return Err(Status::INSUFFICIENT_RESOURCES);
    }
    made.recv().map_err(|_| Status::INSUFFICIENT_RESOURCES)
}

fn run(start: &Start) {
    /// Nothing in here has anything to drop: it is left without a word.
    unsafe extern "sysv64" fn body(start: usize) {
        // SAFETY: what `run` passes, which outlives it.
        let start = unsafe { &*(start as *const Start) };
        // SAFETY: a KSTART_ROUTINE by the word of whoever made the thread.
        unsafe { start.routine.call([start.context, 0, 0, 0]) };
    }
    let own = thread::own();
    // SAFETY: it is left by `terminate` alone, from a function that the driver calls itself.
    unsafe { base::run(&own.base, body, std::ptr::from_ref(start) as usize) };
    own.base.set(0);
    own.calls.set(0);
    if let Some(left) = own.all_leftovers(0) {
        let what = format!("ended its thread {left}");
        Fault::new(Status::UNSUCCESSFUL, what, start.routine.address()).raise();
    }
    RUNNING.fetch_sub(1, Ordering::AcqRel);
    let mut dispatcher = dispatch::lock();
    own.object.header.set_state(1);
    dispatcher.offer(&own.object.header);
}

fn terminate(status: NtStatus) -> NtStatus {
    let own = thread::own();
    if own.base.get() == 0 {
        return nt_status(Status::INVALID_PARAMETER);
    }
    if own.calls.get() != 1 {
        // Ours are in between, with locks and more.
        caller::fault("calls PsTerminateSystemThread inside of a callback");
    }
    own.object.status.store(status, Ordering::Relaxed);
    // SAFETY: on this thread, inside of `run`; in between are this function, its export, the driver, and `Routine::call`, none
    // of which has anything to drop.
    unsafe { base::leave(own.base.get()) }
}

/// How many threads of drivers are running.
pub(crate) fn left() -> usize {
    RUNNING.load(Ordering::Acquire)
}
