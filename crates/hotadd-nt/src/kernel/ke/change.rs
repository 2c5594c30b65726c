//! `KeRegisterProcessorChangeCallback` and its opposite, and what a driver's callback is as a party.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd::{Driver, Notice, Registration, State, Status, Veto};

use crate::faults;
use crate::ground::export::nt;
use crate::ground::fault::Fault;
use crate::ground::routine::Routine;
use crate::ground::types::{ChangeContext, change_state};
use crate::ground::{thread, world};

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
        callback: *const c_void, context: *const c_void, flags: u32,
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
        let Some(change) = change_of(notice) else { return Ok(()) };
        faults::watch(world::get().time_limit, || call(self.routine, self.context, change))
    }
}

/// What a driver is told by a notice; `None` for those that it did not ask for, as Windows has no such states (X1).
pub(crate) fn change_of(notice: &Notice) -> Option<ChangeContext> {
    let state = match notice.state() {
        State::AddStart => change_state::START,
        State::AddComplete => change_state::COMPLETE,
        State::AddFailure => change_state::FAILURE,
        _ => return None,
    };
    let processor = notice.processor();
    Some(ChangeContext {
        state,
        nt_number: processor.index.get(),
        status: notice.status().to_raw().cast_signed(),
        number: processor.number().into(),
    })
}

/// Calls one callback of a driver, with a change and a status of its own. Its answer is what it left in that status (A2, A3, A7).
pub(crate) fn call(
    routine: Routine,
    context: usize,
    mut change: ChangeContext,
) -> Result<(), Veto> {
    let mut status = Status::SUCCESS.to_raw();
    let arguments = [context, &raw mut change as usize, &raw mut status as usize, 0];
    let outer = INSIDE.replace(true);
    // SAFETY: a PROCESSOR_CALLBACK_FUNCTION by the word of whoever registered it; the structures outlive the call.
    unsafe { routine.call(arguments) };
    INSIDE.set(outer);
    if let Some(left) = thread::own().leftovers() {
        let what = format!("returned from its callback {left}");
        Fault::new(Status::UNSUCCESSFUL, what, routine.address()).raise();
    }
    let status = Status::from_raw(status);
    if status.is_error() { Err(status.into()) } else { Ok(()) }
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside of such a callback.
pub(crate) fn inside() -> bool {
    INSIDE.get()
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
    match enlist(Callback { routine, context }, flags & ADD_EXISTING != 0) {
        Ok(registration) => {
            let handle = LAST.fetch_add(1, Ordering::Relaxed) + 1;
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

/// Registers a party by the driver's next name: the first by its own, later ones with a number behind it.
pub(crate) fn enlist(
    driver: impl Driver + Send + 'static,
    existing: bool,
) -> Result<Registration, hotadd::Error> {
    static NAMED: AtomicUsize = AtomicUsize::new(0);
    let world = world::get();
    let name = match NAMED.fetch_add(1, Ordering::Relaxed) + 1 {
        1 => world.name.clone(),
        number => format!("{}#{number}", world.name),
    };
    let party = world.partition.registration(&name).level(world.level);
    let party = party.time_limit(world.time_limit + GRACE);
    let party = if existing { party } else { party.without_replay() };
    let registration = party.register(driver)?;
    world.console.registered(&registration.party());
    Ok(registration)
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
