//! `IoRegisterDriverReinitialization`: functions that a driver wants called when its entry has returned.

use std::collections::VecDeque;
use std::mem::offset_of;
use std::sync::{Mutex, PoisonError};

use crate::ground::export::nt;
use crate::ground::foreign::Out;
use crate::ground::routine::Routine;
use crate::ground::types::DriverObject;

nt! {
    /// Has a function called when the driver's entry has returned.
    fn IoRegisterDriverReinitialization(driver: usize, routine: usize, context: usize) {
        ask(driver, routine, context);
    }

    /// The same. Nothing starts before drivers here.
    fn IoRegisterBootDriverReinitialization(driver: usize, routine: usize, context: usize) {
        ask(driver, routine, context);
    }
}

/// What was asked for: which driver's, the function, its context.
static ASKED: Mutex<VecDeque<(usize, Routine, usize)>> = Mutex::new(VecDeque::new());

fn ask(driver: usize, routine: usize, context: usize) {
    if let Some(routine) = Routine::new(routine as *const std::ffi::c_void) {
        ASKED.lock().unwrap_or_else(PoisonError::into_inner).push_back((driver, routine, context));
    }
}

/// How often a driver was called so, as its extension has it: behind two pointers.
fn count(driver: Out<DriverObject>) -> Out<u32> {
    let extension: Out<Out<u32>> = driver.field(offset_of!(DriverObject, driver_extension));
    extension.get().field(2 * size_of::<usize>())
}

/// Calls what a driver has asked for, and what it asks for meanwhile.
pub(crate) fn run(driver: Out<DriverObject>) {
    let address = driver.as_ptr() as usize;
    loop {
        let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
        let next = asked.iter().position(|(of, ..)| *of == address).and_then(|at| asked.remove(at));
        drop(asked);
        let Some((_, routine, context)) = next else { return };
        let count = count(driver);
        count.put(count.get() + 1);
        // SAFETY: a DRIVER_REINITIALIZE by the driver's word, and what it expects.
        unsafe { routine.call([address, context, count.get() as usize, 0]) };
    }
}
