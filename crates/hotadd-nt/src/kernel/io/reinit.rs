//! `IoRegisterDriverReinitialization`: functions that are called when a driver's entry has returned.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::{Mutex, PoisonError};

use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::routine::Routine;
use crate::ground::types::DriverObject;

nt! {
    /// Registers a function that is called when the driver's entry has returned.
    fn IoRegisterDriverReinitialization(driver: usize, routine: usize, context: usize) {
        ask(driver, routine, context);
    }

    /// The same. There is no boot phase here.
    fn IoRegisterBootDriverReinitialization(driver: usize, routine: usize, context: usize) {
        ask(driver, routine, context);
    }
}

/// The registered calls: the driver, the function, its context.
static ASKED: Mutex<VecDeque<(usize, Routine, usize)>> = Mutex::new(VecDeque::new());

fn ask(driver: usize, routine: usize, context: usize) {
    if let Some(routine) = Routine::new(routine as *const std::ffi::c_void) {
        ASKED.lock().unwrap_or_else(PoisonError::into_inner).push_back((driver, routine, context));
    }
}

/// The number of these calls of a driver, in its extension after two pointers.
fn count(driver: Out<DriverObject>) -> Out<u32> {
    let extension: Out<Out<u32>> = driver.field(offset_of!(DriverObject, driver_extension));
    extension.get().field(2 * size_of::<usize>())
}

/// Calls the functions that a driver has registered, and those that it registers during these calls.
pub(crate) fn run(driver: Out<DriverObject>) {
    let address = driver.as_ptr() as usize;
    loop {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.iter().position(|(of, ..)| *of == address).and_then(|at| asked.remove(at));
        drop(asked);
        let Some((_, routine, context)) = next else { return };
        let count = count(driver);
        count.put(count.get() + 1);
        // SAFETY: the driver guarantees that it is a DRIVER_REINITIALIZE, and the arguments are what it
        // expects.
        unsafe { routine.call([address, context, count.get() as usize, 0]) };
    }
}
