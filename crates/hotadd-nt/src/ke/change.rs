//! `KeRegisterProcessorChangeCallback` and its opposite.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd::{Driver, Notice, Registration, State, Status, Veto};

use crate::abi::Routine;
use crate::export::nt;
use crate::fault::{self, Fault};
use crate::thread;
use crate::types::ChangeContext;
use crate::world;

/// `KE_PROCESSOR_CHANGE_ADD_EXISTING`.
const ADD_EXISTING: u32 = 1;

/// How much longer than its time limit the partition waits for a callback, which is reported here by then, with its place.
const GRACE: Duration = Duration::from_millis(1500);

/// The registrations in force, by handle.
static HANDLES: Mutex<Option<HashMap<usize, Registration>>> = Mutex::new(None);

/// The last handle given. A number and not an address: it is never given again, so that a stale one is known for what it is
/// (D2).
static LAST: AtomicUsize = AtomicUsize::new(0);

nt! {
    /// Registers a callback that hears of processors being added (R1-R7). Returns a handle, or null.
    fn KeRegisterProcessorChangeCallback(
        callback: *const c_void,
        context: *const c_void,
        flags: u32,
    ) -> *mut c_void {
        register(Routine::new(callback), context as usize, flags) as *mut c_void
    }

    /// Deregisters what a handle stands for (D1). When it returns the callback is not running and will not be called again.
    fn KeDeregisterProcessorChangeCallback(handle: *mut c_void) {
        deregister(handle as usize);
    }
}

fn handles() -> MutexGuard<'static, Option<HashMap<usize, Registration>>> {
    // A panic while it was held ends the process.
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A callback of a driver as a party.
struct Callback {
    routine: Routine,
    /// Handed back as it came: it may be the address of something long gone (R4's status lies there in many drivers).
    context: usize,
}

impl Driver for Callback {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let state = match notice.state() {
            State::AddStart => 0,
            State::AddComplete => 1,
            State::AddFailure => 2,
            // It did not ask for them, and Windows has no such states (X1).
            _ => return Ok(()),
        };
        let processor = notice.processor();
        let mut change = ChangeContext {
            state,
            nt_number: processor.index.get(),
            status: notice.status().to_raw().cast_signed(),
            number: processor.number().into(),
        };
        let mut status = Status::SUCCESS.to_raw();
        let arguments = [self.context, &raw mut change as usize, &raw mut status as usize, 0];
        fault::watch(world::get().time_limit, || {
            // SAFETY: a PROCESSOR_CALLBACK_FUNCTION by the word of whoever registered it; the structures outlive the call.
            unsafe { self.routine.call(arguments) }
        });
        if let Some(left) = thread::own().leftovers() {
            let what = format!("returned from its callback {left}");
            Fault::new(Status::UNSUCCESSFUL, what, self.routine.address()).raise();
        }
        let status = Status::from_raw(status);
        if status.is_error() { Err(status.into()) } else { Ok(()) }
    }
}

fn register(routine: Option<Routine>, context: usize, flags: u32) -> usize {
    let world = world::get();
    let breach = |what: &str| world.console.breach(what);
    let Some(routine) = routine else {
        breach("KeRegisterProcessorChangeCallback: the callback is NULL (R7)");
        return 0;
    };
    if flags & !ADD_EXISTING != 0 {
        breach(&format!("KeRegisterProcessorChangeCallback: unknown flags {flags:#x} (R7)"));
    }
    let handle = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    let name = match handle {
        1 => world.name.clone(),
        number => format!("{}#{number}", world.name),
    };
    let party = world.partition.party(&name).level(world.level);
    let party = party.time_limit(world.time_limit + GRACE);
    let party = if flags & ADD_EXISTING == 0 { party.later_only() } else { party };
    match party.register(Callback { routine, context }) {
        Ok(registration) => {
            world.console.registered(&registration.party());
            handles().get_or_insert_default().insert(handle, registration);
            handle
        }
        Err(error) => {
            // A refusal of its own is its right (R4).
            if !matches!(error, hotadd::Error::NotJoining { .. }) {
                breach(&format!("KeRegisterProcessorChangeCallback: {error}"));
            }
            0
        }
    }
}

fn deregister(handle: usize) {
    // Not under the lock: it waits for callbacks, and they may register and deregister too.
    let registration = handles().as_mut().and_then(|handles| handles.remove(&handle));
    if registration.is_none() {
        let what =
            format!("KeDeregisterProcessorChangeCallback: {handle:#x} is not a registration (D2)");
        world::get().console.breach(&what);
    }
    drop(registration);
}

/// Deregisters what is left of a driver that is unloaded (D4). Returns how many there were.
pub(crate) fn deregister_all() -> usize {
    let left = handles().take().unwrap_or_default();
    left.len()
}
