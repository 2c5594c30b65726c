//! `hotadd_registration_...`: a callback of the program that is told of processors, from its settings to its end.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotadd::Status;

use crate::callee::{Callee, Data, Destroy, Function, NoticeCallback, Party};
use crate::dispatch::{self, refuse_inside, request};
use crate::failure::{Failure, failed, text, told, value_or};
use crate::forked;
use crate::handles::Table;
use crate::member::Member;
use crate::partition::{CPartition, PARTITIONS};
use crate::queue::Queue;

/// The registration as C sees it. There is no such structure: a pointer to one is a handle.
#[derive(Debug)]
#[repr(C)]
pub struct CRegistration([u8; 0]);

pub(crate) static REGISTRATIONS: Table<Registration> = Table::new("registration");

pub(crate) const REMOVALS: u32 = 1;
pub(crate) const NO_REPLAY: u32 = 2;
pub(crate) const DESCRIPTOR: u32 = 4;

/// The time limit of a program that sets none, as in other languages.
const TIME_LIMIT: Duration = Duration::from_secs(5);
const LONGEST_LIMIT: Duration = Duration::from_secs(600);

/// How much longer a partition in another process waits for the program than the program's own queue does. So the queue, which
/// knows more, reports first.
const GRACE: Duration = Duration::from_millis(1500);

/// A registration of the program.
#[derive(Debug)]
pub(crate) struct Registration {
    member: Arc<Member>,
    name: String,
    function: Function,
    data: Arc<Data>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    settings: Settings,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    level: i32,
    flags: u32,
    time_limit: Duration,
    destroy: Option<Destroy>,
}

#[derive(Debug)]
enum Phase {
    New,
    /// It is being registered, and may be called already (R3).
    Starting(Arc<Callee>),
    Started(Arc<Callee>, hotadd::Registration),
    Stopped,
}

impl Registration {
    pub(crate) fn new(
        member: Arc<Member>,
        name: String,
        function: Function,
        data: *mut c_void,
    ) -> Self {
        let settings = Settings { level: 0, flags: 0, time_limit: TIME_LIMIT, destroy: None };
        let inner = Mutex::new(Inner { settings, phase: Phase::New });
        Self { member, name, function, data: Arc::new(Data::new(data)), inner }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a setting, which is possible until the start.
    fn set(&self, change: impl FnOnce(&mut Settings)) -> Result<(), Failure> {
        let mut inner = self.lock();
        if !matches!(inner.phase, Phase::New) {
            return Err(state("the registration was started; set this before"));
        }
        change(&mut inner.settings);
        Ok(())
    }

    pub(crate) fn set_flags(&self, flags: u32) -> Result<(), Failure> {
        let unknown = flags & !(REMOVALS | NO_REPLAY | DESCRIPTOR);
        if unknown != 0 {
            return Err(Failure::invalid(format!("unknown flags {unknown:#x} (R7)")));
        }
        self.set(|settings| settings.flags = flags)
    }

    /// Registers the callback. If this fails, the registration is as before.
    pub(crate) fn start(&self) -> Result<(), Failure> {
        refuse_inside("registering")?;
        let (settings, callee) = {
            let mut inner = self.lock();
            match inner.phase {
                Phase::New => {}
                Phase::Stopped => {
                    return Err(state("the registration was stopped; make a new one"));
                }
                _ => return Err(state("the registration is already started")),
            }
            let settings = inner.settings;
            let callee = Arc::new(self.callee(settings)?);
            inner.phase = Phase::Starting(Arc::clone(&callee));
            (settings, callee)
        };
        if callee.queue.is_some() {
            dispatch::watch(&callee);
        }
        let party = Party(Arc::clone(&callee));
        let registered = request("registering", || {
            let builder = self.member.partition.registration(&self.name).level(settings.level);
            let builder = builder.time_limit(settings.time_limit + GRACE);
            let replay = settings.flags & NO_REPLAY == 0;
            let builder = if replay { builder } else { builder.without_replay() };
            Ok(builder.register(party)?)
        });
        self.started(&callee, registered)
    }

    fn callee(&self, settings: Settings) -> Result<Callee, Failure> {
        let descriptor = settings.flags & DESCRIPTOR != 0;
        let queue = descriptor.then(|| Queue::new(settings.time_limit)).transpose()?;
        let (data, cause) = (Arc::clone(&self.data), Arc::clone(&self.member.cause));
        Ok(Callee::new(self.function, data, settings.flags & REMOVALS != 0, cause, queue))
    }

    fn started(
        &self,
        callee: &Arc<Callee>,
        registered: Result<hotadd::Registration, Failure>,
    ) -> Result<(), Failure> {
        let left = {
            let mut inner = self.lock();
            let closed = callee.is_closed();
            match registered {
                Ok(registration) if !closed => {
                    inner.phase = Phase::Started(Arc::clone(callee), registration);
                    return Ok(());
                }
                Err(failure) if !closed => {
                    inner.phase = Phase::New;
                    return Err(failure);
                }
                // It was stopped meanwhile, which set the phase.
                other => other.ok(),
            }
        };
        left.map_or(Ok(()), dispatch::deregister)?;
        Err(Failure::new(Status::CANCELLED, "the registration was stopped while it was started"))
    }

    /// Deregisters the callback (D1).
    pub(crate) fn stop(&self) -> Result<(), Failure> {
        let (destroy, phase) = {
            let mut inner = self.lock();
            if let Phase::Stopped = inner.phase {
                return Err(Failure::new(Status::INVALID_HANDLE, "it was stopped before (D2)"));
            }
            (inner.settings.destroy.take(), std::mem::replace(&mut inner.phase, Phase::Stopped))
        };
        match phase {
            Phase::Started(callee, registration) => {
                callee.close(destroy);
                dispatch::deregister(registration)
            }
            Phase::Starting(callee) => {
                callee.close(destroy);
                Ok(())
            }
            // Never called, and so not running.
            Phase::New | Phase::Stopped => {
                self.data.destroy(destroy);
                Ok(())
            }
        }
    }

    fn running(&self) -> Result<Arc<Callee>, Failure> {
        match &self.lock().phase {
            Phase::Starting(callee) | Phase::Started(callee, _) => Ok(Arc::clone(callee)),
            Phase::New => Err(state("the registration is not started")),
            Phase::Stopped => Err(state("the registration is stopped")),
        }
    }

    fn is_registered(&self) -> bool {
        matches!(&self.lock().phase, Phase::Started(_, registration) if registration.is_registered())
    }
}

fn state(message: &str) -> Failure {
    Failure::new(Status::INVALID_DEVICE_STATE, message)
}

fn get(registration: *const CRegistration) -> Result<Arc<Registration>, Failure> {
    forked::check()?;
    REGISTRATIONS.get(registration)
}

/// Prepares a registration.
///
/// # Safety
/// `name` is a C string, or NULL. `callback` is NULL, or may be called with `data` as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_registration_new(
    partition: *mut CPartition,
    name: *const c_char,
    callback: Option<NoticeCallback>,
    data: *mut c_void,
) -> *mut CRegistration {
    let made = forked::check().and_then(|()| {
        let member = PARTITIONS.get(partition)?;
        // SAFETY: the caller's promise.
        let name = unsafe { text(name) }?.to_owned();
        let callback = callback.ok_or_else(|| Failure::invalid("the callback is NULL (R7)"))?;
        let registration = Registration::new(member, name, Function::Notice(callback), data);
        REGISTRATIONS.insert(Arc::new(registration))
    });
    value_or(made, ptr::null_mut())
}

/// Sets the level.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_set_level(
    registration: *mut CRegistration,
    level: i32,
) -> i32 {
    told(get(registration).and_then(|it| it.set(|settings| settings.level = level)))
}

/// Sets the flags.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_set_flags(
    registration: *mut CRegistration,
    flags: u32,
) -> i32 {
    told(get(registration).and_then(|it| it.set_flags(flags)))
}

/// Sets how long one answer may take.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_set_time_limit(
    registration: *mut CRegistration,
    milliseconds: u32,
) -> i32 {
    let limit = Duration::from_millis(u64::from(milliseconds));
    told(get(registration).and_then(|it| {
        if limit.is_zero() || limit > LONGEST_LIMIT {
            return Err(Failure::invalid("the time limit is not between 1 ms and 10 minutes"));
        }
        it.set(|settings| settings.time_limit = limit)
    }))
}

/// Sets the function that is called when the data is not used any more.
///
/// # Safety
/// `destroy` is NULL, or may be called with the data of the registration.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_registration_set_destroy(
    registration: *mut CRegistration,
    destroy: Option<Destroy>,
) -> i32 {
    told(get(registration).and_then(|it| it.set(|settings| settings.destroy = destroy)))
}

/// Registers the callback.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_start(registration: *mut CRegistration) -> i32 {
    told(get(registration).and_then(|it| it.start()))
}

/// Deregisters the callback (D1).
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_stop(registration: *mut CRegistration) -> i32 {
    told(get(registration).and_then(|it| it.stop()))
}

/// Stops a registration, and gives up its handle.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_free(registration: *mut CRegistration) -> i32 {
    if registration.is_null() {
        return 0;
    }
    let freed = forked::check().and_then(|()| REGISTRATIONS.remove(registration)).map(|freed| {
        // It fails if it was stopped before, or its party had ended. Then there is nothing to do.
        let _ = freed.stop();
    });
    told(freed)
}

/// Whether the callback is registered: 1 or 0. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_is_registered(registration: *const CRegistration) -> c_int {
    value_or(get(registration).map(|it| c_int::from(it.is_registered())), -1)
}

/// The descriptor that is readable while a notice waits. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_registration_fd(registration: *const CRegistration) -> c_int {
    let descriptor = get(registration).and_then(|it| {
        let callee = it.running()?;
        let queue = callee.queue.as_ref();
        queue.map(Queue::raw).ok_or_else(|| {
            state("the registration has no descriptor: set the flag HOTADD_DESCRIPTOR before it is started")
        })
    });
    value_or(descriptor, -1)
}

/// Calls the callback for each notice that waits, and returns their number, or a status.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_dispatch(registration: *mut CRegistration) -> i32 {
    get(registration).and_then(|it| dispatch::dispatch(&*it.running()?)).unwrap_or_else(failed)
}
