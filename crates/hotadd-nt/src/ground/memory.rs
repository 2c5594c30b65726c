//! [`Memory`]: a stretch of the address space, whole pages, with nothing on either side of it.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// The size of a page.
pub(crate) const PAGE: usize = 4096;

/// Memory of ours, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Where the guard page before it begins.
    guarded: NonNull<c_void>,
    size: usize,
}

// SAFETY: an address is the same on every thread, and what is done to the memory needs the only reference.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives the address and the size alone; to touch or protect the memory takes an exclusive one.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves that many bytes, which are whole pages; at that address if there is one. Nothing may be done with them yet.
    pub(crate) fn reserve(size: usize, at: Option<usize>) -> Result<Self, Errno> {
        let hint = at.map_or(0, |at| at.wrapping_sub(PAGE));
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let flags = if at.is_some() { flags | MapFlags::FIXED_NOREPLACE } else { flags };
        let whole = size.checked_add(2 * PAGE).ok_or(Errno::NOMEM)?;
        // SAFETY: it replaces nothing: the kernel chooses where, or refuses where something is.
        let start = unsafe {
            mmap_anonymous(ptr::without_provenance_mut(hint), whole, ProtFlags::empty(), flags)
        }?;
        let guarded = NonNull::new(start).ok_or(Errno::NOMEM)?;
        let this = Self { guarded, size };
        // Kernels before 4.17 take the address for a wish.
        if at.is_some_and(|at| at != this.base()) { Err(Errno::EXIST) } else { Ok(this) }
    }

    /// Its lowest address.
    pub(crate) fn base(&self) -> usize {
        self.start() as usize
    }

    fn start(&self) -> *mut c_void {
        self.guarded.as_ptr().wrapping_byte_add(PAGE)
    }

    /// Says what may be done with a part of it.
    pub(crate) fn protect(
        &mut self,
        start: usize,
        size: usize,
        flags: MprotectFlags,
    ) -> Result<(), Errno> {
        if start > self.size || size > self.size - start {
            return Err(Errno::INVAL);
        }
        // SAFETY: pages of ours, to which no reference is left: `bytes` lends them for as long as `self`.
        unsafe { mprotect(self.start().wrapping_byte_add(start), size, flags) }
    }

    /// Its bytes, after this for reading and writing: all zero at first.
    pub(crate) fn bytes(&mut self) -> Result<&mut [u8], Errno> {
        self.protect(0, self.size, MprotectFlags::READ | MprotectFlags::WRITE)?;
        // SAFETY: ours, readable and writable, and borrowed from the only reference.
        Ok(unsafe { slice::from_raw_parts_mut(self.start().cast(), self.size) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped above. Whoever dropped it says that nothing in it is used any more.
        let done = unsafe { munmap(self.guarded.as_ptr(), self.size + 2 * PAGE) };
        debug_assert_eq!(done, Ok(()), "what was mapped can be unmapped");
    }
}
