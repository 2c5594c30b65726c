//! Loads a `.sys`: a PE32+ image for x86-64, as the public PE format specification describes it.
//!
//! Three modules process a file, and each validates its input: `headers` determines the kind of the file and the
//! location of its parts, `tables` reads the parts, and `load` lays the file out in memory. Nothing is written before
//! it was checked.

mod error;
mod headers;
mod inspect;
mod load;

mod relocate;
mod sniff;
mod tables;

pub use error::{FileError, read};
pub use headers::Section;
pub(crate) use inspect::inspect;
pub use inspect::{Import, Inspection, Provision};
pub use load::Loaded;
pub(crate) use load::load;
