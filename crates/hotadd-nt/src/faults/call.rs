//! Calling a driver's function, in the convention that it was built for.

use std::ffi::c_void;
use std::mem;
use std::ptr::NonNull;

use super::monitor::install;
use crate::ground::abi::Abi;
use crate::ground::routine::Routine;
use crate::ground::thread;

impl Routine {
    /// Calls it. In both conventions a function may be given more integers than it looks at, so four do for all.
    ///
    /// # Safety
    /// It is a function that takes at most four integers or pointers, these are what it expects, and it returns an integer, a
    /// pointer or nothing. Where it returns less than 64 bits the upper ones are not to be looked at.
    pub(crate) unsafe fn call(self, arguments: [usize; 4]) -> usize {
        // Without the monitor a fault ends the process all the same, less politely. Loading a driver reports why it failed.
        let _ = install();
        let own = thread::enter().own();
        own.calls.set(own.calls.get() + 1);
        let [a, b, c, d] = arguments;
        let result = match self.abi() {
            Abi::Win64 => {
                type Function = unsafe extern "win64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: a function in an image of this convention, of this form by the caller's word.
                let function = unsafe { mem::transmute::<NonNull<c_void>, Function>(self.0) };
                // SAFETY: its arguments are right by the caller's word.
                unsafe { function(a, b, c, d) }
            }
            Abi::SysV => {
                type Function = unsafe extern "sysv64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: code that no loader brought, or an image of this convention; of this form by the caller's word.
                let function = unsafe { mem::transmute::<NonNull<c_void>, Function>(self.0) };
                // SAFETY: its arguments are right by the caller's word.
                unsafe { function(a, b, c, d) }
            }
        };
        own.calls.set(own.calls.get() - 1);
        result
    }
}
