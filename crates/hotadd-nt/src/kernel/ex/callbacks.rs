//! Callback objects: functions register with a named object, and others notify them.
//!
//! Of the system's own objects, `\Callback\ProcessorAdd` notifies of processors being added (`processor_add`). The
//! others never notify.

use std::sync::{Arc, LazyLock};

use hotadd::{Registration, Status};
use parking_lot::{Mutex, MutexGuard};

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::probe;
use crate::ground::routine::Routine;
use crate::ground::rule::Rule;
use crate::ground::types::{Boolean, NtStatus, UnicodeString, nt_status};
use crate::kernel::ex::processor_add::Functions;
use crate::kernel::ex::running::Running;
use crate::kernel::ke::change;
use crate::kernel::ob::references;

/// `OBJECT_ATTRIBUTES`, as far as it is used here.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) length: u32,
    pub(crate) root: usize,
    pub(crate) name: In<UnicodeString>,
    pub(crate) attributes: u32,
    _security: [usize; 2],
}

const _: () = assert!(size_of::<Attributes>() == 0x30);

nt! {
    /// Opens a callback object, or creates it if requested.
    fn ExCreateCallback(
        object: Out<usize>, attributes: In<Attributes>, create: Boolean, several: Boolean,
    ) -> NtStatus {
        match open(attributes, create != 0, several != 0) {
            Ok(opened) => {
                object.put(opened);
                0
            }
            Err(status) => nt_status(status),
        }
    }

    /// Registers a function for notifications. Returns a handle, or NULL.
    fn ExRegisterCallback(object: usize, function: usize, context: usize) -> usize {
        register(object, function, context)
    }

    /// Unregisters a function. When it returns, the function is not running and will not be called again.
    fn ExUnregisterCallback(handle: usize) { unregister(handle) }

    /// Notifies all registered functions, in the order of registration.
    fn ExNotifyCallback(object: usize, first: usize, second: usize) { notify(object, first, second) }
}

pub(super) const PROCESSOR_ADD: &str = "\\Callback\\ProcessorAdd";

/// The system's objects.
const SYSTEM: [&str; 3] = ["\\Callback\\SetSystemTime", "\\Callback\\PowerState", PROCESSOR_ADD];

struct Object {
    /// The object's address for drivers. The memory is leaked, so the address is never reused.
    address: usize,
    /// The name as passed, or empty.
    name: String,
    several: bool,
    registered: Vec<Arc<Registered>>,
    /// The party for the functions registered with `ProcessorAdd`, as long as there are any.
    party: Option<Registration>,
}

/// A registered function.
pub(super) struct Registered {
    /// The address of its object.
    object: usize,
    handle: usize,
    pub(super) routine: Routine,
    pub(super) context: usize,
    running: Running,
}

struct Objects {
    all: Vec<Object>,
    last: usize,
}

static OBJECTS: LazyLock<Mutex<Objects>> = LazyLock::new(|| {
    let mut objects = Objects { all: Vec::new(), last: 0 };
    for name in SYSTEM {
        objects.make(name.to_owned(), true);
    }
    Mutex::new(objects)
});

fn objects() -> MutexGuard<'static, Objects> {
    OBJECTS.lock()
}

impl Objects {
    fn make(&mut self, name: String, several: bool) -> usize {
        let address = std::ptr::from_mut(Box::leak(Box::new([0_usize; 2]))) as usize;
        let object = Object { address, name, several, registered: Vec::new(), party: None };
        self.all.push(object);
        address
    }

    fn at(&mut self, address: usize) -> Option<&mut Object> {
        self.all.iter_mut().find(|object| object.address == address)
    }
}

fn open(attributes: In<Attributes>, create: bool, several: bool) -> Result<usize, Status> {
    if probe::fails() {
        return Err(Status::INSUFFICIENT_RESOURCES);
    }
    let name = match attributes.non_null() {
        Some(attributes) => name_of(attributes.get()),
        None => String::new(),
    };
    let mut objects = objects();
    let same = |object: &&Object| !name.is_empty() && object.name.eq_ignore_ascii_case(&name);
    let address = match objects.all.iter().find(same) {
        Some(object) => object.address,
        None if create => objects.make(name, several),
        None => return Err(Status::OBJECT_NAME_NOT_FOUND),
    };
    references::at_end(references::Kind::Callback, forget);
    references::add(address, references::Kind::Callback);
    Ok(address)
}

fn name_of(attributes: Attributes) -> String {
    let name = attributes.name.non_null();
    name.map_or_else(String::new, |name| String::from_utf16_lossy(&name.get().units()))
}

fn register(address: usize, function: usize, context: usize) -> usize {
    let Some(routine) = Routine::new(function as *const _) else {
        caller::breach("calls ExRegisterCallback with a function that is NULL");
        return 0;
    };
    if probe::fails() {
        return 0;
    }
    let mut objects = objects();
    objects.last += 1;
    let handle = objects.last;
    let Some(object) = objects.at(address) else {
        drop(objects);
        caller::fault(format!(
            "calls ExRegisterCallback for {address:#x}, which is not a callback object"
        ));
    };
    if !object.several && !object.registered.is_empty() {
        return 0;
    }
    let of_system = object.name == PROCESSOR_ADD;
    if of_system && change::inside() {
        drop(objects);
        refuse(&hotadd::Error::InsideCallback("registering"));
        return 0;
    }
    let running = Running::default();
    let registered = Registered { object: address, handle, routine, context, running };
    object.registered.push(Arc::new(registered));
    let needs_party = of_system && object.party.is_none();
    drop(objects);
    if needs_party && let Err(error) = hear_of_processors(address) {
        refuse(&error);
        unregister(handle);
        return 0;
    }
    handle
}

fn refuse(error: &hotadd::Error) {
    caller::breach(&format!("calls ExRegisterCallback for {PROCESSOR_ADD}: {error}"));
}

/// Registers the party that notifies the functions of processors.
fn hear_of_processors(address: usize) -> Result<(), hotadd::Error> {
    // The lock is not held here: registering waits for callbacks, which may register and unregister too.
    let registration = change::enlist(Functions::of(address), false)?;
    let mut objects = objects();
    let object = objects.at(address).expect("the system's stay");
    // Two threads may arrive at once: one of the registrations is dropped. It is also dropped if the functions have
    // been unregistered in the meantime.
    let spare = match object.party {
        None if !object.registered.is_empty() => object.party.replace(registration),
        _ => Some(registration),
    };
    drop(objects);
    drop(spare);
    Ok(())
}

fn unregister(handle: usize) {
    let mut objects = objects();
    let has = |object: &&mut Object| object.registered.iter().any(|one| one.handle == handle);
    let Some(object) = objects.all.iter_mut().find(has) else {
        drop(objects);
        caller::breach_of(
            Rule::Handle,
            format!("calls ExUnregisterCallback for {handle:#x}, which is not a registration"),
        );
        return;
    };
    let at = object.registered.iter().position(|one| one.handle == handle).expect("it has it");
    let registered = object.registered.remove(at);
    let party = if object.registered.is_empty() { object.party.take() } else { None };
    drop(objects);
    // The lock is not held here: dropping waits for callbacks that may want the lock (D1).
    drop(party);
    registered.running.wait();
}

fn notify(address: usize, first: usize, second: usize) {
    let told = match objects().at(address) {
        Some(object) if object.name == PROCESSOR_ADD => None,
        Some(object) => Some(object.registered.clone()),
        None => return,
    };
    let Some(told) = told else {
        // Otherwise functions would be notified of changes that do not happen, and of outcomes without a start (X4).
        let what = "which belongs to the system: its functions are not called";
        caller::breach(&format!("calls ExNotifyCallback for {PROCESSOR_ADD}, {what}"));
        return;
    };
    for one in told {
        // SAFETY: the driver that registered it guarantees that it is a CALLBACK_FUNCTION.
        one.run(|| unsafe { one.routine.call([one.context, first, second, 0]) });
    }
}

/// The functions that are currently registered with an object, in the order of registration.
pub(super) fn registered(address: usize) -> Vec<Arc<Registered>> {
    objects().at(address).map(|object| object.registered.clone()).unwrap_or_default()
}

impl Registered {
    /// Calls the function through `call`, unless it was unregistered in the meantime.
    pub(super) fn run<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let is_registered = || {
            let mut objects = objects();
            let object = objects.at(self.object);
            object
                .is_some_and(|object| object.registered.iter().any(|one| one.handle == self.handle))
        };
        self.running.run(is_registered, call)
    }
}

/// Removes an object without references. The system's objects remain.
fn forget(address: usize) {
    let mut objects = objects();
    let goes = |object: &Object| object.address == address && !SYSTEM.contains(&&*object.name);
    objects.all.retain(|object| !goes(object));
}

/// Unregisters the remaining functions of a driver that is unloaded (D4). Returns their number.
pub(crate) fn unregister_all() -> usize {
    let mut objects = objects();
    let left = objects.all.iter().map(|object| object.registered.len()).sum();
    let mut parties = Vec::new();
    for object in &mut objects.all {
        object.registered.clear();
        parties.extend(object.party.take());
    }
    drop(objects);
    // Without the lock: deregistering waits for a callback in progress, which may take it.
    drop(parties);
    left
}
