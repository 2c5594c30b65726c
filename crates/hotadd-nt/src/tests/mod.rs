//! What the functions promise that wait, run and count, in both conventions.
//!
//! The tests of one process share a world: 102 simulated processors in two groups, of which 70 run at
//! first. What a driver may do only once happens in a separate process: see [`fault_of`].

mod aimed;
mod changes;
mod clock;
mod convention;
mod devices;
mod dpcs;
mod dpcs_at_once;
mod events;
mod faults;
mod files;
mod headers;
mod joining;
mod layouts;
mod library;
mod lists;
mod locks;
mod memory;
mod misuse;
mod pnp;
mod pointers;
mod pools;
mod processor_add;
mod queues;
mod requests;
mod spin;
mod strings;
mod system;
mod tables;
mod threads;
mod timers;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hotadd::Partition;
use hotadd::hardware::Simulated;

use crate::ground::abi::Abi;
use crate::ground::fault::Fault;
use crate::ground::images::{self, Image, Missing};
use crate::ground::world::{Console, World};
use crate::kernel::exports;

/// Calls a function by its name, in one of the conventions.
macro_rules! call {
    ($abi:expr, $name:ident($($argument:expr => $type:ty),* $(,)?) $(-> $return:ty)?) => {{
        let address = $crate::tests::address($abi, stringify!($name));
        match $abi {
            $crate::ground::abi::Abi::Win64 => {
                type Function = unsafe extern "win64" fn($($type),*) $(-> $return)?;
                // SAFETY: exported in this convention, with this prototype.
                let function = unsafe { std::mem::transmute::<*const std::ffi::c_void, Function>(address) };
                // SAFETY: its arguments are what its documentation asks for.
                unsafe { function($($argument),*) }
            }
            $crate::ground::abi::Abi::SysV => {
                type Function = unsafe extern "sysv64" fn($($type),*) $(-> $return)?;
                // SAFETY: exported in System V's convention too, with the same prototype.
                let function = unsafe { std::mem::transmute::<*const std::ffi::c_void, Function>(address) };
                // SAFETY: its arguments are what its documentation asks for, in either convention.
                unsafe { function($($argument),*) }
            }
        }
    }};
}
pub(crate) use call;

/// Defines a function as a driver would, in both conventions: `name(abi)` is its address.
macro_rules! routine {
    ($visible:vis fn $name:ident($($argument:ident: $type:ty),*) $(-> $return:ty)? $body:block) => {
        $visible fn $name(abi: $crate::ground::abi::Abi) -> usize {
            fn body($($argument: $type),*) $(-> $return)? $body
            extern "win64" fn win64($($argument: $type),*) $(-> $return)? { body($($argument),*) }
            extern "sysv64" fn sysv($($argument: $type),*) $(-> $return)? { body($($argument),*) }
            static KNOWN: std::sync::Once = std::sync::Once::new();
            KNOWN.call_once(|| $crate::tests::make_win64(stringify!($name), win64 as *const () as usize));
            match abi {
                $crate::ground::abi::Abi::Win64 => win64 as *const () as usize,
                $crate::ground::abi::Abi::SysV => sysv as *const () as usize,
            }
        }
    };
}
pub(crate) use routine;

/// Marks a function as part of a driver with Microsoft's convention, by making an image of it.
pub(crate) fn make_win64(name: &str, address: usize) {
    let native = Image::native(
        name.to_owned(),
        address,
        1,
        Vec::new(),
        Missing::default(),
        &exports::SERVICES,
    );
    let image = Image { abi: Abi::Win64, ..native };
    assert!(images::enter(image).is_some(), "there is room for it");
}

pub(crate) const BOTH: [Abi; 2] = [Abi::Win64, Abi::SysV];

/// The address of a function.
pub(crate) fn address(abi: Abi, name: &str) -> *const std::ffi::c_void {
    exports::find(name).unwrap_or_else(|| panic!("{name} is exported")).address(abi)
}

/// Memory for a driver's objects. It is aligned like pool and not zeroed.
#[repr(C, align(64))]
pub(crate) struct Memory<const SIZE: usize>([std::cell::UnsafeCell<u8>; SIZE]);

// SAFETY: the functions that get its address treat it as atomics.
unsafe impl<const SIZE: usize> Sync for Memory<SIZE> {}
// SAFETY: bytes.
unsafe impl<const SIZE: usize> Send for Memory<SIZE> {}

impl<const SIZE: usize> Memory<SIZE> {
    pub(crate) fn new() -> Self {
        Self([const { std::cell::UnsafeCell::new(0xa5) }; SIZE])
    }

    pub(crate) fn at(&self) -> *mut u8 {
        self.0[0].get()
    }

    /// A part of it.
    pub(crate) fn read<T: Copy>(&self, offset: usize) -> T {
        assert!(offset + size_of::<T>() <= SIZE, "inside");
        // SAFETY: inside, as was checked; all that is read are integers.
        unsafe { self.at().wrapping_add(offset).cast::<T>().read_volatile() }
    }
}

/// Records what the world reports.
#[derive(Default)]
pub(crate) struct Heard(pub(crate) Mutex<Vec<String>>);

impl Console for Arc<Heard> {
    fn print(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn breach(&self, breach: &crate::Breach) {
        self.0.lock().unwrap().push(format!("breach: {breach}"));
    }

    fn fault(&self, fault: &Fault) {
        // Read by `fault_of` in another process.
        println!("FAULT {:#x} {fault} END", fault.status.to_raw());
    }
}

/// The world of the tests.
pub(crate) struct Scene {
    pub(crate) heard: Arc<Heard>,
}

/// The processors that run at first, and those that can be added.
pub(crate) const RUNNING: u32 = 70;
pub(crate) const SPARE: u32 = 32;

pub(crate) fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let heard = Arc::new(Heard::default());
        let partition = Partition::simulated(&Simulated::new(RUNNING, SPARE).unwrap()).unwrap();
        let world = World {
            partition,
            name: "test".to_owned(),
            time_limit: Duration::from_secs(60),
            level: 0,
            real: false,
            console: Box::new(Arc::clone(&heard)),
        };
        assert!(world.begin().is_ok(), "the first and only one");
        Scene { heard }
    })
}

/// Held by a test that changes the partition or registers for changes, because tests would see each other's changes.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scene {
    /// The breaches that contain this text, since the last call. Other tests cause breaches of their own at
    /// the same time.
    pub(crate) fn breaches(&self, naming: &str) -> Vec<String> {
        let mut heard = self.heard.0.lock().unwrap();
        let is_one = |text: &mut String| text.starts_with("breach: ") && text.contains(naming);
        heard.extract_if(.., is_one).collect()
    }
}

/// Runs the test of this name, with its file, in a separate process, and returns the fault that stops it.
pub(crate) fn fault_of(name: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::{name}"), "--nocapture", "--test-threads=1"])
        .env(IN_A_FAULT, "1")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let fault = out.split_once("FAULT ").and_then(|(_, rest)| rest.split_once(" END"));
    let mut context = String::new();
    write!(context, "{} {out} {}", output.status, String::from_utf8_lossy(&output.stderr)).unwrap();
    assert!(!output.status.success(), "the process continued: {context}");
    fault.unwrap_or_else(|| panic!("no fault was reported: {context}")).0.to_owned()
}

/// Declares tests of a file. Each does something that stops its process, and expects this text in the report.
macro_rules! stopped {
    ($file:literal: $($name:ident: $words:literal => $act:expr;)*) => {$(
        #[test]
        fn $name() {
            if std::env::var_os($crate::tests::IN_A_FAULT).is_some() {
                $crate::tests::scene();
                let act: fn() = $act;
                act();
                println!("it continued");
                return;
            }
            let fault = $crate::tests::fault_of(concat!($file, "::", stringify!($name)));
            assert!(fault.contains($words), "{fault:?} says what happened");
        }
    )*};
}
pub(crate) use stopped;

/// Set in the process that is to be stopped.
pub(crate) const IN_A_FAULT: &str = "HOTADD_NT_IN_A_FAULT";
