//! Callback objects: by a name, some register to be told, and others tell them.
//!
//! Of the system's own, `\Callback\ProcessorAdd` tells of every processor that has joined; the others never have anything to
//! tell.

use std::sync::{Arc, LazyLock};

use hotadd::{Driver, Notice, Registration, Status, Veto};
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::abi::Routine;
use crate::caller;
use crate::export::nt;
use crate::foreign::{In, Out};
use crate::ob::references;
use crate::thread;
use crate::types::{Boolean, NtStatus, UnicodeString, nt_status};
use crate::world;

/// `OBJECT_ATTRIBUTES`, as far as it counts here.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Attributes {
    pub(crate) length: u32,
    pub(crate) root: usize,
    pub(crate) name: *const UnicodeString,
    pub(crate) attributes: u32,
    _security: [usize; 2],
}

const _: () = assert!(size_of::<Attributes>() == 0x30);

nt! {
    /// Opens a callback object, or makes it if it is to be made.
    fn ExCreateCallback(
        object: Out<usize>,
        attributes: In<Attributes>,
        create: Boolean,
        several: Boolean,
    ) -> NtStatus {
        match open(attributes, create != 0, several != 0) {
            Ok(opened) => {
                object.put(opened);
                0
            }
            Err(status) => nt_status(status),
        }
    }

    /// Registers a function to be told. Returns a handle, or NULL.
    fn ExRegisterCallback(object: usize, function: usize, context: usize) -> usize {
        register(object, function, context)
    }

    /// Registers it no more. When it returns the function is not running and will not be called again.
    fn ExUnregisterCallback(handle: usize) { unregister(handle) }

    /// Tells all who have registered, in that order.
    fn ExNotifyCallback(object: usize, first: usize, second: usize) { notify(object, first, second) }
}

const PROCESSOR_ADD: &str = "\\Callback\\ProcessorAdd";

/// The objects of the system, each with whether it is told by us.
const SYSTEM: [&str; 3] = ["\\Callback\\SetSystemTime", "\\Callback\\PowerState", PROCESSOR_ADD];

struct Object {
    /// What drivers have as its address. Leaked, so that it is nobody else's ever.
    address: usize,
    /// As it was given, or empty.
    name: String,
    several: bool,
    registered: Vec<Arc<Registered>>,
    /// Our own party in the partition, while somebody is registered for `ProcessorAdd`.
    party: Option<Registration>,
}

struct Registered {
    handle: usize,
    routine: Routine,
    context: usize,
    /// The threads on which it runs.
    running: Mutex<Vec<usize>>,
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

/// Told when a function has returned.
static RETURNED: Condvar = Condvar::new();

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
    references::add(address, references::Kind::Callback);
    Ok(address)
}

fn name_of(attributes: Attributes) -> String {
    // SAFETY: a string of the driver's, or NULL.
    let Some(name) = (unsafe { attributes.name.as_ref() }) else {
        return String::new();
    };
    let units = (0..usize::from(name.length) / 2).map(|at| {
        // SAFETY: within the length that the driver gave.
        unsafe { name.buffer.wrapping_add(at).read_unaligned() }
    });
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn register(address: usize, function: usize, context: usize) -> usize {
    let Some(routine) = Routine::new(function as *const _) else {
        caller::breach("calls ExRegisterCallback with a function that is NULL");
        return 0;
    };
    let mut objects = objects();
    objects.last += 1;
    let handle = objects.last;
    let Some(object) = objects.at(address) else {
        drop(objects);
        caller::fault(format!("calls ExRegisterCallback for {address:#x}, which is no object"));
    };
    if !object.several && !object.registered.is_empty() {
        return 0;
    }
    let running = Mutex::default();
    object.registered.push(Arc::new(Registered { handle, routine, context, running }));
    let needs_party = object.name == PROCESSOR_ADD && object.party.is_none();
    drop(objects);
    if needs_party && !hear_of_processors(address) {
        unregister(handle);
        return 0;
    }
    handle
}

/// Has us told of every processor that joins.
fn hear_of_processors(address: usize) -> bool {
    struct Teller(usize);
    impl Driver for Teller {
        fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
            Ok(())
        }

        fn add_complete(&mut self, notice: &Notice) {
            notify(self.0, notice.processor().index.as_usize(), 0);
        }
    }
    let world = world::get();
    let name = format!("{} {PROCESSOR_ADD}", world.name);
    let party = world.partition.party(&name).level(world.level).time_limit(world.time_limit);
    match party.later_only().register(Teller(address)) {
        Ok(registration) => {
            let mut objects = objects();
            let object = objects.at(address).expect("the system's stay");
            // Two may have come at once; then one of them is dropped, and deregisters.
            let other = object.party.replace(registration);
            drop(objects);
            drop(other);
            true
        }
        Err(error) => {
            caller::breach(&format!("calls ExRegisterCallback for {PROCESSOR_ADD}: {error}"));
            false
        }
    }
}

fn unregister(handle: usize) {
    let mut objects = objects();
    let has = |object: &&mut Object| object.registered.iter().any(|one| one.handle == handle);
    let Some(object) = objects.all.iter_mut().find(has) else {
        drop(objects);
        caller::breach(&format!("calls ExUnregisterCallback for {handle:#x}, which is no handle"));
        return;
    };
    let at = object.registered.iter().position(|one| one.handle == handle).expect("it has it");
    let registered = object.registered.remove(at);
    let party = if object.registered.is_empty() { object.party.take() } else { None };
    drop(objects);
    // Not under the lock: it waits for what may want the lock.
    drop(party);
    let own = thread::own().id();
    let mut running = registered.running.lock();
    // One that unregisters itself cannot wait for itself.
    while running.iter().any(|thread| *thread != own) {
        RETURNED.wait(&mut running);
    }
}

fn notify(address: usize, first: usize, second: usize) {
    let told = match objects().at(address) {
        Some(object) => object.registered.clone(),
        None => return,
    };
    let own = thread::own().id();
    for one in told {
        // Counted as running before it is looked whether it was unregistered meanwhile.
        one.running.lock().push(own);
        let still = objects()
            .at(address)
            .is_some_and(|object| object.registered.iter().any(|other| other.handle == one.handle));
        if still {
            // SAFETY: a CALLBACK_FUNCTION by the word of whoever registered it.
            unsafe { one.routine.call([one.context, first, second, 0]) };
        }
        let mut running = one.running.lock();
        if let Some(at) = running.iter().position(|thread| *thread == own) {
            running.remove(at);
        }
        drop(running);
        RETURNED.notify_all();
    }
}

/// Lets an object go to which nobody refers any more. Those of the system stay.
pub(crate) fn forget(address: usize) {
    let mut objects = objects();
    let goes = |object: &Object| object.address == address && !SYSTEM.contains(&&*object.name);
    objects.all.retain(|object| !goes(object));
}

/// How many functions are registered.
pub(crate) fn left() -> usize {
    objects().all.iter().map(|object| object.registered.len()).sum()
}
