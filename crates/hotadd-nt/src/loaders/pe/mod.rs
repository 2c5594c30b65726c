//! Loading a `.sys`: a PE32+ image for x86-64, as the public PE format specification describes it.
//!
//! A file passes through three hands, each of which distrusts what it is given: `headers` knows what a file is and where its
//! parts lie, `tables` what the parts say, and `load` lays it out in memory. Nothing is written before it was checked.

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
