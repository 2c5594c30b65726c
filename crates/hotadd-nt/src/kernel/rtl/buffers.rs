//! Memory that functions return to drivers. It comes from the pool, so it is counted, and drivers may
//! free it as pool.

use std::ffi::c_void;

use crate::ground::caller;
use crate::ground::exception::or_fault;
use crate::kernel::ex::pool;

/// `POOL_FLAG_NON_PAGED`
const NON_PAGED: u64 = 0x40;

/// The purpose of the memory, as its tag.
#[derive(Clone, Copy)]
pub(crate) struct Use([u8; 4]);

pub(crate) const STRING: Use = Use(*b"Strg");
pub(crate) const MDL: Use = Use(*b"Mdl ");
pub(crate) const EXTENSION: Use = Use(*b"DrvE");
pub(crate) const IRP: Use = Use(*b"Irp ");
pub(crate) const IRP_BUFFER: Use = Use(*b"IoSB");
pub(crate) const FILE: Use = Use(*b"File");
pub(crate) const EVENT: Use = Use(*b"Even");
pub(crate) const RANGES: Use = Use(*b"PhyR");
pub(crate) const STATE: Use = Use(*b"XSav");
pub(crate) const WORK: Use = Use(*b"IoWI");

/// Allocates this many zero bytes. `None` if there is not enough memory.
pub(crate) fn allocate(what: Use, size: usize) -> Option<*mut c_void> {
    let memory = or_fault(pool::by_flags(NON_PAGED, size.max(1), u32::from_le_bytes(what.0)));
    (memory != 0).then_some(memory as *mut c_void)
}

/// Frees the memory.
pub(crate) fn free(memory: *mut c_void) {
    if !memory.is_null() {
        pool::free(caller::recorded(), memory as usize, None);
    }
}
