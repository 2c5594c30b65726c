//! Shared parts of the tests in guests.

pub(crate) mod daemon;
pub(crate) mod holder;
pub(crate) mod journal;
pub(crate) mod overflow;

use lab::{Guest, Kernel, Lab};

/// How many slots a guest has with many processors. Guests with the same slots share a saved state, so the tests use few numbers.
pub(crate) const MANY: u32 = 100;

/// The options of a guest. `./test` runs these tests only where guests can run.
pub(crate) fn lab(kernel: Kernel) -> Lab {
    Lab::new(kernel).unwrap_or_else(|e| panic!("{e}"))
}

/// Plugs in a processor and brings it online. So a guest can boot with as many processors as another one, and share its saved state.
pub(crate) fn bring_up(guest: &Guest, id: u32) {
    assert_eq!(guest.add_cpu(id as usize).unwrap(), id, "slots are filled in order");
    bring(guest, id);
}

/// Brings a processor online, as an operator or a udev rule does.
pub(crate) fn bring(guest: &Guest, id: u32) {
    guest.write(&cpu(&format!("cpu{id}/online")), "1").unwrap();
}

/// The folder where Linux shows processors.
pub(crate) fn cpu(name: &str) -> String {
    format!("/sys/devices/system/cpu/{name}")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes each function a test on each kernel.
macro_rules! on_each_kernel {
    ($($name:ident),+ $(,)?) => {
        mod linux_6_1 {
            $(#[test] fn $name() { super::$name(lab::Kernel::V6_1); })+
        }
        mod linux_6_12 {
            $(#[test] fn $name() { super::$name(lab::Kernel::V6_12); })+
        }
    };
}
pub(crate) use on_each_kernel;
