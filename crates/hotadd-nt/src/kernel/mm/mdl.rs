//! Memory descriptor lists: descriptions of memory that already exists. Page numbers are placeholders, like physical
//! addresses.

use std::ffi::c_void;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::exception::{Exception, or_fault};
use crate::ground::foreign::{In, Out};
use crate::ground::memory::PAGE;
use crate::kernel::mm::pages;
use crate::kernel::rtl::buffers;

/// `MDL`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mdl {
    next: Out<Mdl>,
    size: i16,
    flags: i16,
    process: usize,
    mapped: usize,
    start: usize,
    count: u32,
    offset: u32,
}

/// `MDL_...`
mod flag {
    pub(super) const MAPPED: i16 = 0x1;
    pub(super) const LOCKED: i16 = 0x2;
    pub(super) const NONPAGED: i16 = 0x4;
    pub(super) const PARTIAL: i16 = 0x10;
    pub(super) const WRITE: i16 = 0x80;
}

nt! {
    /// Describes memory, and adds the description to an IRP's list if there is one.
    fn IoAllocateMdl(address: usize, length: u32, secondary: u8, _charge: u8, irp: Out<Irp>) -> Out<Mdl> {
        allocate(address, length, secondary != 0, irp)
    }

    /// Frees a description.
    fn IoFreeMdl(mdl: Out<Mdl>) { free(mdl) }

    /// Makes a description cover a part of another description's memory.
    fn IoBuildPartialMdl(source: In<Mdl>, target: Out<Mdl>, address: usize, length: u32) {
        part(source.get(), target, address, length);
    }

    /// The size of a description of this memory.
    fn MmSizeOfMdl(address: usize, length: usize) -> usize { size(address, length) }

    /// Completes a description of memory that is always resident.
    fn MmBuildMdlForNonPagedPool(mdl: Out<Mdl>) { build(mdl) }

    /// Locks the memory. An invalid address raises an exception.
    fn MmProbeAndLockPages(mdl: Out<Mdl>, _mode: u8, operation: u32) { lock(mdl, operation) }

    /// Unlocks the memory.
    fn MmUnlockPages(mdl: Out<Mdl>) { unlock(mdl) }

    /// The system's address of the memory, which is the same address.
    fn MmMapLockedPagesSpecifyCache(
        mdl: Out<Mdl>, _mode: u8, _cache: u32, _wanted: *mut c_void, _stop: u32, _priority: u32,
    ) -> usize {
        map(mdl)
    }

    /// The system's address of the memory, which is the same address.
    fn MmMapLockedPages(mdl: Out<Mdl>, _mode: u8) -> usize { map(mdl) }

    /// Removes the mapping.
    fn MmUnmapLockedPages(_address: *mut c_void, mdl: Out<Mdl>) {
        change(mdl, |mdl| mdl.flags &= !flag::MAPPED);
    }
}

/// The beginning of an `IRP`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Irp {
    head: u64,
    mdl: Out<Mdl>,
}

fn pages(address: usize, length: usize) -> usize {
    (address % PAGE + length).div_ceil(PAGE)
}

fn size(address: usize, length: usize) -> usize {
    size_of::<Mdl>() + pages(address, length) * size_of::<usize>()
}

fn change(mdl: Out<Mdl>, change: impl FnOnce(&mut Mdl)) {
    let mut value = mdl.get();
    change(&mut value);
    mdl.put(value);
}

impl Mdl {
    /// A description of this memory, without any state.
    fn of(address: usize, length: u32, size: usize) -> Self {
        Self {
            // SAFETY: null stands for no list.
            next: unsafe { Out::new(std::ptr::null_mut()) },
            size: i16::try_from(size).unwrap_or(i16::MAX),
            flags: 0,
            process: 0,
            mapped: 0,
            start: address & !(PAGE - 1),
            count: length,
            #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
            offset: (address % PAGE) as u32,
        }
    }

    pub(super) fn address(&self) -> usize {
        self.start + self.offset as usize
    }
}

fn allocate(address: usize, length: u32, secondary: bool, irp: Out<Irp>) -> Out<Mdl> {
    let mdl = describe(address, length);
    if mdl.non_null().is_none() {
        return mdl;
    }
    if let Some(irp) = irp.non_null() {
        let mut head = irp.get();
        match head.mdl.non_null().filter(|_| secondary) {
            None => {
                head.mdl = mdl;
                irp.put(head);
            }
            Some(first) => {
                let mut last = first;
                while let Some(next) = last.get().next.non_null() {
                    last = next;
                }
                change(last, |last| last.next = mdl);
            }
        }
    }
    mdl
}

/// A new description of this memory; null if there is no room for it.
pub(crate) fn describe(address: usize, length: u32) -> Out<Mdl> {
    let size = size(address, length as usize);
    let memory =
        buffers::allocate(buffers::MDL, size).map_or(std::ptr::null_mut(), <*mut c_void>::cast);
    // SAFETY: the pointer is null, or has the size of a description of this memory until it is freed.
    let mdl: Out<Mdl> = unsafe { Out::new(memory) };
    if mdl.non_null().is_some() {
        mdl.put(Mdl::of(address, length, size));
        number(mdl);
    }
    mdl
}

/// Marks pages as resident, or as no longer allocated.
pub(super) fn set_locked(mdl: Out<Mdl>, locked: bool) {
    change(mdl, |mdl| {
        mdl.flags = if locked {
            mdl.flags | flag::LOCKED
        } else {
            mdl.flags & !(flag::LOCKED | flag::MAPPED)
        };
    });
}

fn free(mdl: Out<Mdl>) {
    if mdl.get().flags & flag::LOCKED != 0 {
        caller::breach("IoFreeMdl: its pages are still locked");
    }
    buffers::free(mdl.as_ptr().cast());
}

/// Writes the page numbers, which follow the description.
fn number(mdl: Out<Mdl>) {
    let value = mdl.get();
    let numbers: Out<usize> = mdl.skip(1).cast();
    for page in 0..pages(value.address(), value.count as usize) {
        numbers.skip(page).put(value.start / PAGE + page);
    }
}

fn build(mdl: Out<Mdl>) {
    number(mdl);
    change(mdl, |mdl| {
        mdl.flags |= flag::NONPAGED;
        mdl.mapped = mdl.address();
    });
}

fn part(source: Mdl, target: Out<Mdl>, address: usize, length: u32) {
    let end = source.address() + source.count as usize;
    let length = match length {
        // Zero means the whole rest.
        0 => u32::try_from(end.saturating_sub(address)).unwrap_or(u32::MAX),
        length => length,
    };
    if address < source.address() || address + length as usize > end {
        caller::fault("calls IoBuildPartialMdl for memory that the source does not describe");
    }
    let room = target.get().size;
    if size(address, length as usize) > usize::try_from(room).unwrap_or(0) {
        caller::fault("calls IoBuildPartialMdl with a target that is too small");
    }
    let inherited = source.flags & (flag::MAPPED | flag::NONPAGED);
    let mapped = if inherited == 0 { 0 } else { address };
    target.put(Mdl {
        size: room,
        flags: flag::PARTIAL | inherited,
        mapped,
        process: source.process,
        ..Mdl::of(address, length, 0)
    });
    number(target);
}

/// Locks the pages. Memory that is not mapped is a fault.
pub(crate) fn lock(mdl: Out<Mdl>, operation: u32) {
    or_fault(try_lock(mdl, operation));
}

/// Checks that the memory is mapped, and marks the pages as locked.
pub(crate) fn try_lock(mdl: Out<Mdl>, operation: u32) -> Result<(), Exception> {
    /// `IoReadAccess`
    const READ: u32 = 0;
    let value = mdl.get();
    let mut pages =
        (0..pages(value.address(), value.count as usize)).map(|page| value.start + page * PAGE);
    if let Some(at) = pages.find(|page| !pages::is_readable(*page)) {
        return Err(Exception::NotMapped { at });
    }
    number(mdl);
    change(mdl, |mdl| {
        mdl.flags |= flag::LOCKED | if operation == READ { 0 } else { flag::WRITE };
    });
    Ok(())
}

/// Unlocks and frees the descriptions of a request.
pub(crate) fn free_all(first: Out<Mdl>) {
    /// More descriptions than this do not fit into the pool.
    const MOST: usize = 1 << 22;
    let mut at = first;
    for _ in 0..MOST {
        let Some(mdl) = at.non_null() else { return };
        at = mdl.get().next;
        if mdl.get().flags & flag::LOCKED != 0 {
            unlock(mdl);
        }
        free(mdl);
    }
}

fn unlock(mdl: Out<Mdl>) {
    if mdl.get().flags & flag::LOCKED == 0 {
        caller::breach("MmUnlockPages: the pages are not locked");
    }
    change(mdl, |mdl| mdl.flags &= !(flag::LOCKED | flag::MAPPED | flag::WRITE));
}

fn map(mdl: Out<Mdl>) -> usize {
    let value = mdl.get();
    if value.flags & (flag::LOCKED | flag::NONPAGED | flag::PARTIAL) == 0 {
        caller::breach("MmMapLockedPages: the pages are not locked");
    }
    change(mdl, |mdl| {
        mdl.flags |= flag::MAPPED;
        mdl.mapped = mdl.address();
    });
    value.address()
}

const _: () = assert!(size_of::<Mdl>() == 48);
