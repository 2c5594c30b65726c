//! [`Services`]: what the kernel does for an image. The kernel is a higher layer: it hands this to the loaders.

use crate::ground::abi::Abi;
use crate::ground::context::{Context, Record};
use crate::ground::export::Export;

/// What the kernel does for an image.
#[derive(Debug)]
pub(crate) struct Services {
    /// What an import of this name is bound to in an image of this convention.
    pub(crate) find: fn(&str, Abi) -> Option<Export>,
    /// The name of the export at an address. May be called from a signal handler.
    pub(crate) name_at: fn(usize) -> Option<&'static str>,
    /// Lets the image's code handle an exception. Returns only if nobody does.
    pub(crate) dispatch: fn(&mut Record, &mut Context),
    /// Writes the register that holds the IRQL.
    pub(crate) write_irql: fn(u8),
}
