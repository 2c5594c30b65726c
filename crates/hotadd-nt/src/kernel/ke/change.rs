//! `KeRegisterProcessorChangeCallback` and its opposite, and a driver's callback as a party.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd::{Driver, Notice, Registration, State, Status, Veto};

use crate::faults;
use crate::ground::declare::nt;
use crate::ground::fault::Fault;
use crate::ground::routine::Routine;
use crate::ground::rule::{Breach, Rule};
use crate::ground::types::{ChangeContext, change_state};
use crate::ground::{caller, groups, images, probe, thread, world};

/// `KE_PROCESSOR_CHANGE_ADD_EXISTING`.
const ADD_EXISTING: u32 = 1;

/// How much longer than its time limit the partition waits for a callback. By then this crate has reported it with
/// its place.
const GRACE: Duration = Duration::from_millis(1500);

/// The registrations in force, by handle.
static HANDLES: Mutex<Option<HashMap<usize, Registration>>> = Mutex::new(None);

/// The last handle given out. It is a number and not an address, and no number is reused, so that a stale handle is
/// recognised (D2).
static LAST: AtomicUsize = AtomicUsize::new(0);

nt! {
    /// Registers a callback that is notified when processors are added (R1-R7). Returns a handle, or null.
    fn KeRegisterProcessorChangeCallback(
        callback: *const c_void, context: *const c_void, flags: u32,
    ) -> *mut c_void {
        register(Routine::new(callback), context as usize, flags) as *mut c_void
    }

    /// Deregisters the registration of a handle (D1). When it returns, the callback is not running and will not be
    /// called again.
    fn KeDeregisterProcessorChangeCallback(handle: *mut c_void) {
        deregister(handle as usize);
    }
}

fn handles() -> MutexGuard<'static, Option<HashMap<usize, Registration>>> {
    // A panic while the lock was held ends the process.
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A driver's callback as a party.
struct Callback {
    routine: Routine,
    /// Passed back unchanged. It may be a stale address (in many drivers that of R4's status).
    context: usize,
}

impl Driver for Callback {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let Some(change) = change_of(notice) else { return Ok(()) };
        let answer =
            faults::watch(world::get().time_limit, || call(self.routine, self.context, change));
        let refused = matches!((&answer, notice.state()), (Err(_), State::AddStart));
        if refused && probe::get().is_some_and(probe::Probe::tells_who_refused) {
            let status =
                answer.as_ref().err().map_or(0, |veto| veto.status().to_raw().cast_signed());
            let change = ChangeContext { state: change_state::FAILURE, status, ..change };
            let _ =
                faults::watch(world::get().time_limit, || call(self.routine, self.context, change));
        }
        answer
    }
}

/// The change that a notice means to a driver. `None` for states that Windows does not define: its drivers never see them (X1).
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
        number: groups::number(processor.index).into(),
    })
}

/// Calls one callback of a driver, with a change and a status of its own. Its answer is the status that it left there
/// (A2, A3, A7).
pub(crate) fn call(
    routine: Routine,
    context: usize,
    mut change: ChangeContext,
) -> Result<(), Veto> {
    let probed = probe::get().is_some();
    let told = if probed { notification(routine, change) } else { None };
    let before = told.and_then(|told| {
        probe::ask(|probe| {
            probe.notifying(&told);
            probe.status_before(told.state)
        })
    });
    let before = before.unwrap_or(0);
    let mut status = before;
    let arguments = [context, &raw mut change as usize, &raw mut status as usize, 0];
    let outer = INSIDE.replace(true);
    let affinity = thread::confined();
    // SAFETY: the driver that registered it guarantees a PROCESSOR_CALLBACK_FUNCTION; the structures outlive the
    // call.
    unsafe { routine.call(arguments) };
    INSIDE.set(outer);
    if let Some(left) = thread::own().leftovers() {
        let what = format!("returned from its callback {left}");
        let fault = Fault::new(Status::UNSUCCESSFUL, what, routine.address());
        fault.of(Rule::HeldAcrossCallback).raise();
    }
    if let Some(told) = told {
        probe::ask(|probe| probe.notified(&told, status));
    }
    if probed && thread::confined() != affinity {
        let what = "returned from its callback with a system affinity that it has set".to_owned();
        let (rule, place) = (Rule::HeldAcrossCallback, images::place(routine.address()));
        world::get().console().breach(&Breach { rule, what, place });
    }
    // A value that the driver left unchanged is not its answer: a verifier had put it there.
    let status = Status::from_raw(if status == before { 0 } else { status });
    if status.is_error() { Err(status.into()) } else { Ok(()) }
}

/// What a probe is told of a call.
fn notification(routine: Routine, change: ChangeContext) -> Option<probe::Notification> {
    let state = match change.state {
        change_state::START => State::AddStart,
        change_state::COMPLETE => State::AddComplete,
        change_state::FAILURE => State::AddFailure,
        _ => return None,
    };
    Some(probe::Notification::new(state, change.nt_number, routine))
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside such a callback.
pub(crate) fn inside() -> bool {
    INSIDE.get()
}

fn register(routine: Option<Routine>, context: usize, flags: u32) -> usize {
    let breach = |rule: Rule, what: &str| caller::breach_of(rule, what);
    if probe::fails() {
        return 0;
    }
    let Some(routine) = routine else {
        breach(Rule::Misuse, "KeRegisterProcessorChangeCallback: the callback is NULL (R7)");
        return 0;
    };
    if flags & !ADD_EXISTING != 0 {
        let what = format!("KeRegisterProcessorChangeCallback: unknown flags {flags:#x} (R7)");
        breach(Rule::UnknownFlags, &what);
    }
    match enlist(Callback { routine, context }, flags & ADD_EXISTING != 0) {
        Ok(registration) => {
            let handle = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            handles().get_or_insert_default().insert(handle, registration);
            handle
        }
        Err(error) => {
            // A driver may refuse during its own registration (R4), so that is not a breach.
            if !matches!(error, hotadd::Error::NotJoining { .. }) {
                let rule = if inside() { Rule::InCallback } else { Rule::Misuse };
                breach(rule, &format!("KeRegisterProcessorChangeCallback: {error}"));
            }
            0
        }
    }
}

/// Registers a party by the driver's next name: the first has the driver's name, later ones have a number appended.
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
    world.console().registered(&registration.party());
    Ok(registration)
}

fn deregister(handle: usize) {
    if let Some(probe) = probe::get() {
        probe.deregistering();
    }
    // The lock is not held here: deregistering waits for callbacks, which may register and deregister too.
    let registration = handles().as_mut().and_then(|handles| handles.remove(&handle));
    if registration.is_none() {
        let what =
            format!("KeDeregisterProcessorChangeCallback: {handle:#x} is not a registration (D2)");
        caller::breach_of(Rule::Handle, what);
    }
    drop(registration);
}

/// Deregisters the remaining registrations of a driver that is unloaded (D4). Returns their number.
pub(crate) fn deregister_all() -> usize {
    let left = handles().take().unwrap_or_default();
    left.len()
}
