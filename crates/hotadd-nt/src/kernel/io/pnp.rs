//! Asynchronous notification: `IoRegisterPlugPlayNotification`, by which a driver is told of a processor after it has
//! joined.
//!
//! The pages "Registering for Asynchronous Driver Notification" and "Processing an Asynchronous Driver Notification"
//! have the rules. The functions are called on a thread of the system, after all synchronous callbacks have returned,
//! one processor after the other. Nobody waits for them, and their results have no effect on the processor.

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotadd::{Epoch, HardwareId, Status};
use parking_lot::Mutex;

use crate::faults;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::routine::Routine;
use crate::ground::rule::Rule;
use crate::ground::types::{Counted, NtStatus, UnicodeString, nt_status};
use crate::ground::{arrivals, caller, thread, world};
use crate::kernel::ex::running::Running;
use crate::kernel::ke::irql;
use crate::kernel::rtl::guid::Guid;

nt! {
    /// Registers a function for events of a category. Of these, only the arrival of processors occurs here.
    fn IoRegisterPlugPlayNotification(
        category: u32, flags: u32, data: In<Guid>, _driver: usize, function: *const c_void, context: usize,
        entry: Out<usize>,
    ) -> NtStatus {
        nt_status(register(category, flags, data, Routine::new(function), context, entry))
    }

    /// Unregisters a function. When it returns, the function is not running and will not be called again.
    fn IoUnregisterPlugPlayNotification(entry: usize) -> NtStatus {
        nt_status(unregister("IoUnregisterPlugPlayNotification", entry))
    }

    /// The same.
    fn IoUnregisterPlugPlayNotificationEx(entry: usize) -> NtStatus {
        nt_status(unregister("IoUnregisterPlugPlayNotificationEx", entry))
    }
}

/// `IO_NOTIFICATION_EVENT_CATEGORY`.
mod category {
    pub(super) const HARDWARE_PROFILE_CHANGE: u32 = 1;
    pub(super) const DEVICE_INTERFACE_CHANGE: u32 = 2;
    pub(super) const TARGET_DEVICE_CHANGE: u32 = 3;
}

/// `PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES`.
const INCLUDE_EXISTING: u32 = 1;

/// `GUID_DEVICE_PROCESSOR`, the interface class of processors.
const PROCESSOR: Guid =
    Guid::new(0x97fa_db10, 0x4e33, 0x40ae, [0x35, 0x9c, 0x8b, 0xef, 0x02, 0x9d, 0xbd, 0xd0]);

/// `GUID_DEVICE_INTERFACE_ARRIVAL`, the event.
const ARRIVAL: Guid =
    Guid::new(0xcb3a_4004, 0x46f0, 0x11d0, [0xb0, 0x8f, 0x00, 0x60, 0x97, 0x13, 0x05, 0x3f]);

/// `DEVICE_INTERFACE_CHANGE_NOTIFICATION`.
#[repr(C)]
struct Notification {
    version: u16,
    size: u16,
    event: Guid,
    class: Guid,
    link: *const UnicodeString,
}

const SIZE: u16 = 48;
const _: () = assert!(size_of::<Notification>() == SIZE as usize);

/// A registered function.
struct Entry {
    /// Its number, which is never reused, so that a stale one is recognised.
    number: usize,
    routine: Routine,
    context: usize,
    /// Whether it is for the arrival of processors.
    of_processors: bool,
    /// It already knows of the processors up to this epoch.
    since: Epoch,
    running: Running,
}

struct Entries {
    all: Vec<Arc<Entry>>,
    last: usize,
}

static ENTRIES: Mutex<Entries> = Mutex::new(Entries { all: Vec::new(), last: 0 });

/// The number of registrations beyond which a driver is refused more.
const MOST: usize = 4096;

fn register(
    category: u32,
    flags: u32,
    data: In<Guid>,
    routine: Option<Routine>,
    context: usize,
    entry: Out<usize>,
) -> Status {
    const NAME: &str = "IoRegisterPlugPlayNotification";
    irql::at_most(NAME, irql::PASSIVE);
    let Some(routine) = routine else {
        caller::breach(&format!("calls {NAME} with a function that is NULL"));
        return Status::INVALID_PARAMETER;
    };
    let of_processors = match category {
        category::DEVICE_INTERFACE_CHANGE => data.get() == PROCESSOR,
        category::HARDWARE_PROFILE_CHANGE => false,
        // It needs a file object of a device, and there is none.
        category::TARGET_DEVICE_CHANGE => return Status::NOT_SUPPORTED,
        _ => return Status::INVALID_PARAMETER,
    };
    if of_processors {
        begin();
    }
    let mut entries = ENTRIES.lock();
    // Read under the lock: a processor that joins before this is in the set, and one that joins after it finds the entry.
    let active = world::get().partition.active();
    if entries.all.len() >= MOST {
        return Status::INSUFFICIENT_RESOURCES;
    }
    entries.last += 1;
    let number = entries.last;
    let (since, running) = (active.epoch(), Running::default());
    let new = Arc::new(Entry { number, routine, context, of_processors, since, running });
    entries.all.push(Arc::clone(&new));
    drop(entries);
    // The function may use the entry as soon as it is called.
    entry.put(number);
    if of_processors && flags & INCLUDE_EXISTING != 0 {
        active.iter().for_each(|processor| new.tell(processor.id));
    }
    Status::SUCCESS
}

fn unregister(name: &str, number: usize) -> Status {
    let mut entries = ENTRIES.lock();
    let Some(at) = entries.all.iter().position(|entry| entry.number == number) else {
        drop(entries);
        caller::breach_of(
            Rule::Handle,
            format!("calls {name} for {number:#x}, which is not a registration"),
        );
        return Status::INVALID_PARAMETER;
    };
    let entry = entries.all.remove(at);
    // The lock is not held here: a function that is running may register and unregister.
    drop(entries);
    entry.running.wait();
    Status::SUCCESS
}

/// Starts the thread that calls the functions, once.
fn begin() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    if BEGUN.swap(true, Ordering::Relaxed) {
        return;
    }
    arrivals::keep();
    if let Err(error) = std::thread::Builder::new().name("arrivals".to_owned()).spawn(deliver) {
        caller::fault(format!("registers for arrivals, but no thread can be started: {error}"));
    }
}

fn deliver() {
    loop {
        let arrival = arrivals::next();
        let entries = ENTRIES.lock().all.clone();
        for entry in entries.iter().filter(|entry| entry.of_processors) {
            if arrival.epoch > entry.since {
                entry.tell(arrival.id);
            }
        }
    }
}

impl Entry {
    /// Tells the function of one processor, unless it was unregistered in the meantime.
    fn tell(&self, id: HardwareId) {
        let is_registered = || ENTRIES.lock().all.iter().any(|one| one.number == self.number);
        self.running.run(is_registered, || {
            faults::watch(world::get().time_limit, || self.call(id));
        });
    }

    fn call(&self, id: HardwareId) {
        let link = format!("\\??\\ACPI#Processor#{id}#{PROCESSOR}");
        let mut link: Vec<u16> = link.encode_utf16().collect();
        let length = u16::try_from(size_of_val(&*link)).expect("a short text");
        link.push(0);
        let maximum_length = length + 2;
        let link = Counted { length, maximum_length, buffer: link.as_mut_ptr() };
        let (event, class, link) = (ARRIVAL, PROCESSOR, &raw const link);
        let notification = Notification { version: 1, size: SIZE, event, class, link };
        let arguments = [&raw const notification as usize, self.context, 0, 0];
        // SAFETY: the driver that registered it guarantees a DRIVER_NOTIFICATION_CALLBACK_ROUTINE; the structures
        // outlive the call.
        unsafe { self.routine.call(arguments) };
        if let Some(left) = thread::own().all_leftovers(irql::PASSIVE) {
            caller::fault(format!("returned from its notification {left}"));
        }
    }
}

/// Unregisters the remaining functions of a driver that is unloaded (D4). Returns their number.
pub(crate) fn unregister_all() -> usize {
    let left = std::mem::take(&mut ENTRIES.lock().all);
    left.iter().for_each(|entry| entry.running.wait());
    left.len()
}
