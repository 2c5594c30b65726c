//! Calls a driver's function in the calling convention for which it was built.

use std::ffi::c_void;
use std::mem;
use std::ptr::NonNull;

use super::monitor::install;
use crate::ground::abi::Abi;
use crate::ground::probe;
use crate::ground::routine::Routine;
use crate::ground::thread;

impl Routine {
    /// Calls the function. Both conventions allow more integer arguments than the function reads, so four suffice for
    /// all.
    ///
    /// # Safety
    /// The function takes at most four integers or pointers, the arguments are what it expects, and it returns an
    /// integer, a pointer or nothing. If it returns less than 64 bits, the caller must ignore the upper bits.
    pub(crate) unsafe fn call(self, arguments: [usize; 4]) -> usize {
        // Without the monitor a fault still ends the process, but without a report. Loading a driver reports why
        // `install` failed.
        let _ = install();
        let own = thread::enter().own();
        own.calls.set(own.calls.get() + 1);
        let [a, b, c, d] = arguments;
        // As the last thing before the call: other functions would overwrite it.
        if probe::get().is_some() {
            probe::poison_stack();
        }
        let result = match self.abi() {
            Abi::Win64 => {
                type Function = unsafe extern "win64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: the function is in an image of this convention, and the caller guarantees its signature.
                let function = unsafe { mem::transmute::<NonNull<c_void>, Function>(self.0) };
                // SAFETY: the caller guarantees that the arguments are right.
                unsafe { function(a, b, c, d) }
            }
            Abi::SysV => {
                type Function = unsafe extern "sysv64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: the code comes from no loader, or from an image of this convention; the caller guarantees
                // its signature.
                let function = unsafe { mem::transmute::<NonNull<c_void>, Function>(self.0) };
                // SAFETY: the caller guarantees that the arguments are right.
                unsafe { function(a, b, c, d) }
            }
        };
        own.calls.set(own.calls.get() - 1);
        result
    }
}
