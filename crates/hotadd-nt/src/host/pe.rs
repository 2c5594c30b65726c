//! Loading a `.sys` and binding it to the exports of this kernel.

use crate::kernel::exports::SERVICES;
use crate::loaders::pe;
pub use crate::loaders::pe::{FileError, Import, Inspection, Loaded, Provision, Section, read};

/// Looks at a driver without loading it.
///
/// # Errors
/// It is not a driver, or not one that can be loaded; the error says what it is.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, FileError> {
    pe::inspect(bytes, &SERVICES)
}

/// Loads a driver under a name. What it imports and nobody provides stops it where it uses it; `strict` refuses such a
/// driver. Nothing of it runs yet.
///
/// # Errors
/// It is not a driver that can be loaded, or there is no room for it.
pub fn load(bytes: &[u8], name: &str, strict: bool) -> Result<Loaded, FileError> {
    pe::load(bytes, name, strict, &SERVICES)
}
