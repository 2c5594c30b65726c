//! [`Routine`]: a function of a driver, and calling it in the convention that it was built for.

use std::ffi::c_void;
use std::fmt;
use std::mem;
use std::ptr::NonNull;

use crate::ground::abi::Abi;
use crate::ground::images;
use crate::ground::thread;

/// The address of a function that a driver gave us.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Routine(NonNull<c_void>);

// SAFETY: an address is the same on every thread.
unsafe impl Send for Routine {}
// SAFETY: as above.
unsafe impl Sync for Routine {}

impl Routine {
    /// `None` for a null pointer.
    #[must_use]
    pub const fn new(address: *const c_void) -> Option<Self> {
        match NonNull::new(address.cast_mut()) {
            Some(address) => Some(Self(address)),
            None => None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Its convention: that of the image in which it lies. Code that no loader brought is our own, or the program's.
    #[must_use]
    pub fn abi(self) -> Abi {
        images::at(self.address()).map_or(Abi::SysV, |image| image.abi)
    }

    /// Calls it. In both conventions a function may be given more integers than it looks at, so four do for all.
    ///
    /// # Safety
    /// It is a function that takes at most four integers or pointers, these are what it expects, and it returns an integer, a
    /// pointer or nothing. Where it returns less than 64 bits the upper ones are not to be looked at.
    pub(crate) unsafe fn call(self, arguments: [usize; 4]) -> usize {
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
                // SAFETY: as above.
                let function = unsafe { mem::transmute::<NonNull<c_void>, Function>(self.0) };
                // SAFETY: as above.
                unsafe { function(a, b, c, d) }
            }
        };
        own.calls.set(own.calls.get() - 1);
        result
    }
}

impl fmt::Debug for Routine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match images::place(self.address()) {
            Some(place) => write!(f, "Routine({place})"),
            None => write!(f, "Routine({:#x})", self.address()),
        }
    }
}
