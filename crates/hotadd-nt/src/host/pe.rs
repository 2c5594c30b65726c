//! Loads a `.sys` and binds it to the exports of this kernel.

use crate::kernel::exports::SERVICES;
use crate::loaders::pe;
pub use crate::loaders::pe::{FileError, Import, Inspection, Loaded, Provision, Section, read};

/// Inspects a driver without loading it.
///
/// # Errors
/// It is not a driver, or cannot be loaded. The error says what it is.
pub fn inspect(bytes: &[u8]) -> Result<Inspection, FileError> {
    pe::inspect(bytes, &SERVICES)
}

/// Loads a driver under a name. If it uses an import that nothing provides, it stops there; with `strict` such a
/// driver is refused. None of its code runs yet.
///
/// # Errors
/// It is not a driver that can be loaded, or there is not enough memory.
pub fn load(bytes: &[u8], name: &str, strict: bool) -> Result<Loaded, FileError> {
    pe::load(bytes, name, strict, &SERVICES)
}
