//! Addresses of code: the image that contains one, and the callers of a function.

use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::images;

nt! {
    /// The base of the image that contains an address; null, also in the variable, if none does.
    fn RtlPcToFileHeader(address: usize, base: Out<usize>) -> usize {
        let found = images::at(address).map_or(0, |image| image.base);
        base.put(found);
        found
    }
}
