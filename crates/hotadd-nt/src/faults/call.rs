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
        let abi = self.abi();
        let result = if probe::get().is_some() {
            probe::poison_stack();
            // SAFETY: the caller guarantees what this asks for.
            unsafe { self.deeper(abi, arguments) }
        } else {
            // SAFETY: the caller guarantees what this asks for.
            unsafe { self.enter(abi, arguments) }
        };
        own.calls.set(own.calls.get() - 1);
        result
    }

    /// Calls the function with a stack that begins inside of the filled part: its upper end has what filled it. Nothing else may be
    /// called in between.
    ///
    /// # Safety
    /// As for [`call`](Self::call).
    #[inline(never)]
    unsafe fn deeper(self, abi: Abi, arguments: [usize; 4]) -> usize {
        let mut room = mem::MaybeUninit::<[u8; 1024]>::uninit();
        std::hint::black_box(&mut room);
        // SAFETY: the caller guarantees what this asks for.
        let result = unsafe { self.enter(abi, arguments) };
        std::hint::black_box(&mut room);
        result
    }

    /// Calls the function in its convention.
    ///
    /// # Safety
    /// As for [`call`](Self::call).
    unsafe fn enter(self, abi: Abi, [a, b, c, d]: [usize; 4]) -> usize {
        match abi {
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
        }
    }
}
