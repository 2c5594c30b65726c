//! [`Replaced`]: functions that a `.sys` receives in place of exports, because they can return into a handler of the driver.

use std::ffi::c_void;
use std::ptr;

use crate::ground::export::{Export, Sizes, What};

/// Names, and the functions that a `.sys` receives for them.
pub(crate) struct Replaced(pub(super) &'static [(&'static str, unsafe extern "win64" fn())]);

impl Replaced {
    /// The function that a `.sys` receives for a name in place of the [export](crate::ground::export) of that name.
    pub(crate) fn find(&self, name: &str) -> Option<Export> {
        let (name, function) = self.0.iter().find(|(known, _)| *known == name)?;
        let win64 = *function as *const c_void;
        let what = What::Function { win64, sysv: ptr::null() };
        Some(Export { name, what, sizes: Sizes::UNDECLARED })
    }

    /// Each function's address and name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.0.iter().map(|(name, function)| (*function as usize, *name))
    }
}
