//! Asynchronous notification of processors: "Registering for Asynchronous Driver Notification", and
//! `IoRegisterPlugPlayNotification`.

use std::sync::{Condvar, Mutex};

use hotadd::{HardwareId, Veto};

use crate::ground::abi::Abi;
use crate::ground::types::UnicodeString;
use crate::ground::world;
use crate::kernel::rtl::guid::Guid;
use crate::tests::changes::{COMPLETE, Listener};
use crate::tests::threads::open;
use crate::tests::{BOTH, RUNNING, alone, call, routine, scene};

/// `EventCategoryDeviceInterfaceChange`, and the two others.
const INTERFACES: u32 = 2;
const PROFILE: u32 = 1;
const TARGET: u32 = 3;
/// `PNPNOTIFY_DEVICE_INTERFACE_INCLUDE_EXISTING_INTERFACES`
const EXISTING: u32 = 1;
const INVALID_PARAMETER: i32 = 0xC000_000D_u32.cast_signed();
const NOT_SUPPORTED: i32 = 0xC000_00BB_u32.cast_signed();

/// `GUID_DEVICE_PROCESSOR` and `GUID_DEVICE_MEMORY`, as poclass.h has them.
const PROCESSOR: Guid =
    Guid::new(0x97fa_db10, 0x4e33, 0x40ae, [0x35, 0x9c, 0x8b, 0xef, 0x02, 0x9d, 0xbd, 0xd0]);
const MEMORY: Guid =
    Guid::new(0x3fd0_f03d, 0x92e0, 0x45fb, [0xb7, 0x5c, 0x5e, 0xd8, 0xff, 0xb0, 0x10, 0x21]);

/// The public layout of `DEVICE_INTERFACE_CHANGE_NOTIFICATION`.
#[repr(C)]
struct Notification {
    version: u16,
    size: u16,
    event: Guid,
    class: Guid,
    link: *const UnicodeString,
}

/// What was told, in order.
#[derive(Default)]
struct Log {
    entries: Mutex<Vec<String>>,
    more: Condvar,
}

impl Log {
    fn push(&self, entry: String) {
        self.entries.lock().unwrap().push(entry);
        self.more.notify_all();
    }

    /// Waits until there are this many entries, and takes them.
    fn wait(&self, count: usize) -> Vec<String> {
        let mut entries = self.entries.lock().unwrap();
        while entries.len() < count {
            let limit = std::time::Duration::from_secs(60);
            let (now, timeout) = self.more.wait_timeout(entries, limit).unwrap();
            entries = now;
            assert!(!timeout.timed_out(), "{count} are expected: {entries:?}");
        }
        std::mem::take(&mut *entries)
    }
}

routine! {
    fn told(notification: usize, context: usize) -> usize {
        // SAFETY: what the function is documented to be called with.
        let notification = unsafe { &*(notification as *const Notification) };
        // SAFETY: what these tests register with, and keep until they have unregistered.
        let log = unsafe { &*(context as *const Log) };
        assert_eq!((notification.version, notification.size), (1, 48));
        assert_eq!(notification.event.to_string(), "{CB3A4004-46F0-11D0-B08F-00609713053F}");
        assert_eq!(notification.class, PROCESSOR);
        // SAFETY: a string that lives as long as the notification.
        let link = String::from_utf16(&unsafe { *notification.link }.units()).unwrap();
        assert!(link.ends_with("#{97FADB10-4E33-40AE-359C-8BEF029DBDD0}"), "{link}");
        log.push(link);
        0
    }
}

fn link(id: HardwareId) -> String {
    format!("\\??\\ACPI#Processor#{id}#{PROCESSOR}")
}

fn register(abi: Abi, category: u32, flags: u32, class: &Guid, log: &Log) -> (i32, usize) {
    let mut entry = 0_usize;
    let context = std::ptr::from_ref(log) as usize;
    let status = call!(abi, IoRegisterPlugPlayNotification(
        category => u32, flags => u32, std::ptr::from_ref(class) => *const Guid, 0 => usize, told(abi) => usize,
        context => usize, &raw mut entry => *mut usize,
    ) -> i32);
    (status, entry)
}

fn unregister(abi: Abi, entry: usize) -> i32 {
    call!(abi, IoUnregisterPlugPlayNotificationEx(entry => usize) -> i32)
}

#[test]
fn with_include_existing_the_function_hears_of_every_processor_before_the_call_returns() {
    scene();
    let _alone = alone();
    for abi in BOTH {
        let log = Log::default();
        let (status, entry) = register(abi, INTERFACES, EXISTING, &PROCESSOR, &log);
        assert_eq!(status, 0);
        let active = world::get().partition.active();
        let all: Vec<String> = active.iter().map(|one| link(one.id)).collect();
        assert_eq!(*log.entries.lock().unwrap(), all, "in the order of their indexes");
        assert_eq!(unregister(abi, entry), 0);
    }
}

#[test]
fn a_processor_that_joined_is_told_once_after_all_synchronous_callbacks() {
    scene();
    let _alone = alone();
    for (abi, id) in BOTH.into_iter().zip([28, 29].map(|spare| HardwareId(RUNNING + spare))) {
        let log = Log::default();
        let (status, entry) = register(abi, INTERFACES, 0, &PROCESSOR, &log);
        assert_eq!(status, 0);
        let (_, object) = open(abi, "\\Callback\\ProcessorAdd", 0, 1);
        let listener = Listener::with(abi, object, |change| {
            if change.state == COMPLETE {
                // Long enough that a notification at this time would come first.
                std::thread::yield_now();
                log.push("AddComplete".to_owned());
            }
            None
        });
        world::get().partition.add(id).unwrap();
        assert_eq!(log.wait(2), ["AddComplete".to_owned(), link(id)]);
        drop(listener);
        call!(abi, ObfDereferenceObject(object => usize) -> isize);
        assert_eq!(unregister(abi, entry), 0);
        assert_eq!(log.entries.lock().unwrap().len(), 0, "once");
    }
}

#[test]
fn a_processor_that_did_not_join_and_a_function_that_was_unregistered_are_not_told() {
    struct Refuses;
    impl hotadd::Driver for Refuses {
        fn add_start(&mut self, _: &hotadd::Notice) -> Result<(), Veto> {
            Err(Veto::new(hotadd::Status::DEVICE_BUSY, "busy"))
        }
    }
    scene();
    let _alone = alone();
    let partition = &world::get().partition;
    for (abi, id) in BOTH.into_iter().zip([30, 31].map(|spare| HardwareId(RUNNING + spare))) {
        let (early, log) = (Log::default(), Log::default());
        let gone = register(abi, INTERFACES, 0, &PROCESSOR, &early).1;
        assert_eq!(unregister(abi, gone), 0);
        let entry = register(abi, INTERFACES, 0, &PROCESSOR, &log).1;
        let party = partition.registration("refuses").without_replay().register(Refuses).unwrap();
        partition.add(id).unwrap_err();
        drop(party);
        partition.add(id).unwrap();
        assert_eq!(log.wait(1), [link(id)], "once, for the add that succeeded");
        assert_eq!(unregister(abi, entry), 0);
        assert_eq!(*early.entries.lock().unwrap(), [""; 0], "it was unregistered");
    }
}

#[test]
fn other_categories_and_classes_are_answered_and_never_told() {
    let scene = scene();
    let _alone = alone();
    for abi in BOTH {
        let log = Log::default();
        let memory = register(abi, INTERFACES, EXISTING, &MEMORY, &log);
        let profile = register(abi, PROFILE, 0, &PROCESSOR, &log);
        for (status, entry) in [memory, profile] {
            assert_eq!(status, 0);
            assert_eq!(call!(abi, IoUnregisterPlugPlayNotification(entry => usize) -> i32), 0);
        }
        assert_eq!(register(abi, TARGET, 0, &PROCESSOR, &log).0, NOT_SUPPORTED);
        assert_eq!(register(abi, 77, 0, &PROCESSOR, &log).0, INVALID_PARAMETER);
        assert_eq!(*log.entries.lock().unwrap(), [""; 0]);
        assert_eq!(unregister(abi, memory.1), INVALID_PARAMETER, "a stale entry");
        let said = scene.breaches("IoUnregisterPlugPlayNotificationEx");
        assert!(said.iter().any(|one| one.contains("which is not a registration")), "{said:?}");
    }
}
