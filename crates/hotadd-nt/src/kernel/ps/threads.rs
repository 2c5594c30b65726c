//! Threads that drivers create, and their end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::fault::Fault;
use crate::ground::foreign::Out;
use crate::ground::probe;
use crate::ground::routine::Routine;
use crate::ground::types::{NtStatus, nt_status};
use crate::ground::{caller, thread};
use crate::kernel::ke::{dispatch, irql};
use crate::kernel::ob::handles;
use crate::kernel::ob::references::Kind;
use crate::kernel::ps::base;

nt! {
    /// Creates a thread that runs a function. The thread ends when the function returns or calls
    /// PsTerminateSystemThread.
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

    /// Ends the calling thread, if a driver created it. Otherwise it returns.
    fn PsTerminateSystemThread(status: NtStatus) -> NtStatus { terminate(status) }
}

/// How many threads of drivers are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The stack size. It is many times that of Windows (24 KiB), because frames of this crate use some of it.
const STACK: usize = 1 << 20;

/// The function of a thread.
struct Start {
    routine: Routine,
    context: usize,
}

fn create(routine: usize, context: usize) -> Result<(usize, usize), Status> {
    irql::at_most("PsCreateSystemThread", irql::PASSIVE);
    let routine = Routine::new(routine as *const _).ok_or(Status::INVALID_PARAMETER)?;
    if probe::fails() {
        return Err(Status::INSUFFICIENT_RESOURCES);
    }
    let start = Start { routine, context };
    let (tell, made) = mpsc::channel();
    let builder = std::thread::Builder::new().name("driver".to_owned()).stack_size(STACK);
    let body = move || {
        let own = thread::own();
        let number = own.object.number.load(Ordering::Relaxed) as usize;
        // The handle is opened before the thread's function runs, so before the thread can end.
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
    /// It has nothing to drop, because it may be abandoned without unwinding.
    unsafe extern "sysv64" fn body(start: usize) {
        // SAFETY: `run` passes it, and it outlives this function.
        let start = unsafe { &*(start as *const Start) };
        // SAFETY: the driver that created the thread guarantees that it is a KSTART_ROUTINE.
        unsafe { start.routine.call([start.context, 0, 0, 0]) };
    }
    let own = thread::own();
    // SAFETY: only `terminate` leaves it, from a function that the driver calls itself.
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
        // Frames of this crate are in between, which may hold locks.
        caller::fault("calls PsTerminateSystemThread inside a callback");
    }
    own.object.status.store(status, Ordering::Relaxed);
    // SAFETY: this runs on the same thread, inside `run`. In between are this function, its export, the driver, and
    // `Routine::call`, and none of them has anything to drop.
    unsafe { base::leave(own.base.get()) }
}

/// How many threads of drivers are running.
pub(crate) fn count() -> usize {
    RUNNING.load(Ordering::Acquire)
}
