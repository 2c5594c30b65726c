//! [`Services`]: the kernel's services for an image. The kernel is a higher layer and passes this to the
//! loaders.

use std::ffi::c_void;

use crate::ground::abi::Abi;
use crate::ground::context::{Context, Record};
use crate::ground::export::Export;

/// The kernel's services for an image.
#[derive(Debug)]
pub(crate) struct Services {
    /// The export to which an import of this name is bound in an image of this convention.
    pub(crate) find: fn(&str, Abi) -> Option<Export>,
    /// The name of the export at an address. May be called from a signal handler.
    pub(crate) name_at: fn(usize) -> Option<&'static str>,
    /// Lets the image's code handle an exception. Returns only if no handler takes it.
    pub(crate) dispatch: fn(&mut Record, &mut Context),
    /// The function that answers requests for which a driver has none, in this convention.
    pub(crate) refuse: fn(Abi) -> *const c_void,
    /// Writes the IRQL register.
    pub(crate) write_irql: fn(u8),
}
