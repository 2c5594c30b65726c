//! Pages that are allocated with their description (`MmAllocatePagesForMdl`), and the ranges of physical memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::memory::PAGE;
use crate::ground::world;
use crate::kernel::ke::irql;
use crate::kernel::mm::mdl::Mdl;
use crate::kernel::mm::{mdl, pages};
use crate::kernel::rtl::buffers;

/// `MM_DONT_ZERO_ALLOCATION`, `MM_ALLOCATE_FULLY_REQUIRED`
const DONT_ZERO: u32 = 1;
const FULLY_REQUIRED: u32 = 4;

/// What all drivers of a process may have in this way.
const LIMIT: usize = 256 << 20;

/// What they have.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

nt! {
    /// Allocates zeroed pages, maybe fewer than requested. Addresses are placeholders, so their limits have no effect.
    fn MmAllocatePagesForMdl(_low: i64, _high: i64, _skip: i64, size: usize) -> Out<Mdl> {
        allocate("MmAllocatePagesForMdl", size, 0)
    }

    /// Allocates pages, maybe fewer than requested.
    fn MmAllocatePagesForMdlEx(_low: i64, _high: i64, _skip: i64, size: usize, _cache: u32, flags: u32) -> Out<Mdl> {
        allocate("MmAllocatePagesForMdlEx", size, flags)
    }

    /// Frees the pages. The description remains, until the driver frees it with ExFreePool.
    fn MmFreePagesFromMdl(mdl: Out<Mdl>) { free(mdl) }

    /// The ranges of physical memory, in memory that the driver frees. The last one is empty.
    fn MmGetPhysicalMemoryRanges() -> usize { ranges() }
}

fn allocate(function: &str, size: usize, flags: u32) -> Out<Mdl> {
    irql::at_most(function, irql::DISPATCH);
    let Some(wanted) = size.checked_next_multiple_of(PAGE) else { return Out::null() };
    let left = LIMIT.saturating_sub(ALLOCATED.load(Ordering::Relaxed));
    let given = wanted.min(left);
    if given == 0 || flags & FULLY_REQUIRED != 0 && given < wanted {
        return Out::null();
    }
    let memory = pages::allocate(given);
    if memory.is_null() {
        return Out::null();
    }
    let filler = if flags & DONT_ZERO == 0 { 0 } else { 0xcd };
    // SAFETY: it was allocated above with this size.
    unsafe { libc::memset(memory, filler, given) };
    let mdl = mdl::describe(memory as usize, u32::try_from(given).unwrap_or(0));
    if mdl.non_null().is_none() {
        pages::free(function, memory, None);
        return Out::null();
    }
    ALLOCATED.fetch_add(given, Ordering::Relaxed);
    mdl::set_locked(mdl, true);
    mdl
}

fn free(mdl: Out<Mdl>) {
    irql::at_most("MmFreePagesFromMdl", irql::APC);
    let memory = mdl.get().address();
    let size = pages::free("MmFreePagesFromMdl", memory as *mut _, None);
    ALLOCATED.fetch_sub(size.min(ALLOCATED.load(Ordering::Relaxed)), Ordering::Relaxed);
    mdl::set_locked(mdl, false);
}

/// One range: as much memory as this machine has. Addresses of memory of a driver are placeholders outside of it.
fn ranges() -> usize {
    irql::at_most("MmGetPhysicalMemoryRanges", irql::PASSIVE);
    // SAFETY: all zero is a value of this structure of numbers.
    let mut machine: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: it writes such a structure.
    if unsafe { libc::sysinfo(&raw mut machine) } != 0 {
        let error = std::io::Error::last_os_error();
        let line = format!(
            "hotadd: MmGetPhysicalMemoryRanges fails: the size of this machine's memory cannot be read: {error}\n"
        );
        world::get().console().print(&line);
        return 0;
    }
    let bytes = machine.totalram.saturating_mul(u64::from(machine.mem_unit));
    let table = [[0, bytes & !(PAGE as u64 - 1)], [0, 0]];
    let Some(memory) = buffers::allocate(buffers::RANGES, size_of_val(&table)) else { return 0 };
    // SAFETY: it was allocated above with this size.
    let to: Out<[u64; 2]> = unsafe { Out::new(memory.cast()) };
    to.put_all(&table);
    memory as usize
}
