//! [`Routine`]: a function of a driver, and its calling convention.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use crate::ground::abi::Abi;
use crate::ground::images;

/// The address of a function that a driver passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Routine(pub(crate) NonNull<c_void>);

// SAFETY: an address is the same on every thread.
unsafe impl Send for Routine {}
// SAFETY: a shared reference to an address gives only the address itself, which any thread may have.
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

    /// Its address.
    #[must_use]
    pub fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Its convention: that of the image that contains it. Code that no loader loaded belongs to this crate or the
    /// program.
    #[must_use]
    pub fn abi(self) -> Abi {
        images::at(self.address()).map_or(Abi::SysV, |image| image.abi)
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
