//! [`Memory`]: a range of the address space, in whole pages, with an unmapped page on either side.

use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

/// The size of a page.
pub(crate) const PAGE: usize = 4096;

/// Memory that is freed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Memory {
    /// The start of the guard page before it.
    guarded: NonNull<c_void>,
    size: usize,
    /// The size of the guard after it.
    behind: usize,
}

// SAFETY: an address is the same on every thread, and access to the memory needs the only reference.
unsafe impl Send for Memory {}
// SAFETY: a shared reference gives only the address and the size. Access to the memory or its protection needs an
// exclusive one.
unsafe impl Sync for Memory {}

impl Memory {
    /// Reserves this many bytes, which are whole pages, at the given address if there is one. They are not accessible
    /// yet.
    pub(crate) fn reserve(size: usize, at: Option<usize>) -> Result<Self, Errno> {
        Self::reserve_before(size, at, PAGE)
    }

    /// The same, with a larger guard after it, in whole pages.
    pub(crate) fn reserve_before(
        size: usize,
        at: Option<usize>,
        behind: usize,
    ) -> Result<Self, Errno> {
        let hint = at.map_or(0, |at| at.wrapping_sub(PAGE));
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let flags = if at.is_some() { flags | MapFlags::FIXED_NOREPLACE } else { flags };
        let whole = size.checked_add(PAGE + behind).ok_or(Errno::NOMEM)?;
        // SAFETY: this replaces no mapping: the kernel chooses the address, or refuses an address that is in use.
        let start = unsafe {
            mmap_anonymous(ptr::without_provenance_mut(hint), whole, ProtFlags::empty(), flags)
        }?;
        let guarded = NonNull::new(start).ok_or(Errno::NOMEM)?;
        let this = Self { guarded, size, behind };
        // Kernels before 4.17 treat the address as a hint.
        if at.is_some_and(|at| at != this.base()) { Err(Errno::EXIST) } else { Ok(this) }
    }

    /// Its lowest address.
    pub(crate) fn base(&self) -> usize {
        self.start() as usize
    }

    fn start(&self) -> *mut c_void {
        self.guarded.as_ptr().wrapping_byte_add(PAGE)
    }

    /// Sets the protection of a part of it.
    pub(crate) fn protect(
        &mut self,
        start: usize,
        size: usize,
        flags: MprotectFlags,
    ) -> Result<(), Errno> {
        if start > self.size || size > self.size - start {
            return Err(Errno::INVAL);
        }
        // SAFETY: these are pages of this value, and no reference to them is left: `bytes` borrows `self`.
        unsafe { mprotect(self.start().wrapping_byte_add(start), size, flags) }
    }

    /// Its bytes, made readable and writable; initially zero.
    pub(crate) fn bytes(&mut self) -> Result<&mut [u8], Errno> {
        self.protect(0, self.size, MprotectFlags::READ | MprotectFlags::WRITE)?;
        // SAFETY: the memory belongs to this value, is readable and writable, and is borrowed from the only
        // reference.
        Ok(unsafe { slice::from_raw_parts_mut(self.start().cast(), self.size) })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was mapped above. Dropping it states that nothing in it is used any more.
        let done = unsafe { munmap(self.guarded.as_ptr(), PAGE + self.size + self.behind) };
        debug_assert_eq!(done, Ok(()), "what was mapped can be unmapped");
    }
}
