//! [`Slot`]: a value in memory of its own, which shares no cache line with another slot and lies near its CPU.

use std::alloc::{Layout, alloc, dealloc};
use std::ptr::{self, NonNull};

use crate::numa;

/// Processors fetch lines of 64 bytes in pairs (x86-64), and some have lines of 128 (arm64).
pub(crate) const APART: usize = 128;

/// Pages are at least this large. A larger alignment is left to the allocator.
const SMALLEST_PAGE: usize = 4096;

/// The value of one CPU. The value comes first.
#[repr(C)]
pub(crate) struct Slot<T> {
    pub(crate) value: T,
    /// The position in the table.
    pub(crate) index: u32,
    /// The CPU.
    pub(crate) cpu: u32,
    origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Allocated,
    /// Pages on the CPU's node.
    Mapped,
}

impl<T> Slot<T> {
    /// Without padding at the end, this would be the size of more values than one.
    fn layout() -> Option<Layout> {
        Some(Layout::new::<Self>().align_to(APART).ok()?.pad_to_align())
    }

    /// Moves a value into memory of its own. Gives the value back if there is no memory.
    pub(crate) fn make(index: u32, cpu: u32, value: T) -> Result<NonNull<Self>, T> {
        Self::make_on(numa::node_of(cpu), index, cpu, value)
    }

    fn make_on(node: Option<u32>, index: u32, cpu: u32, value: T) -> Result<NonNull<Self>, T> {
        let Some(layout) = Self::layout() else { return Err(value) };
        let mapped = match node {
            Some(node) if layout.align() <= SMALLEST_PAGE => map(layout.size(), node),
            _ => None,
        };
        let (memory, origin) = match mapped {
            Some(memory) => (memory, Origin::Mapped),
            None => {
                // SAFETY: the size of the layout is not zero: a slot has an index.
                let memory = unsafe { alloc(layout) };
                let Some(memory) = NonNull::new(memory) else { return Err(value) };
                (memory, Origin::Allocated)
            }
        };
        let slot = memory.cast::<Self>();
        // SAFETY: the memory is new, and large and aligned enough for a slot: pages are aligned to `SMALLEST_PAGE` at least.
        unsafe { slot.write(Self { value, index, cpu, origin }) };
        Ok(slot)
    }

    /// Takes the value out and releases the memory.
    ///
    /// # Safety
    /// `make` returned the slot, nobody else uses it, and it is not used again.
    pub(crate) unsafe fn take(slot: NonNull<Self>) -> Self {
        // SAFETY: the caller promises that the slot is whole and that nobody else reads or takes it.
        let taken = unsafe { slot.read() };
        let Some(layout) = Self::layout() else { unreachable!("the slot was made with a layout") };
        match taken.origin {
            // SAFETY: `make_on` allocated the memory with this layout.
            Origin::Allocated => unsafe { dealloc(slot.as_ptr().cast(), layout) },
            Origin::Mapped => {
                // SAFETY: `map` mapped these pages, and nobody uses them any more.
                let unmapped = unsafe { libc::munmap(slot.as_ptr().cast(), layout.size()) };
                debug_assert_eq!(unmapped, 0, "pages that were mapped can be unmapped");
            }
        }
        taken
    }
}

/// Maps pages that prefer this node. `None` if there is no memory.
fn map(size: usize, node: u32) -> Option<NonNull<u8>> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: new pages at an address that the kernel chooses.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size, protection, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return None;
    }
    // The kernel has at most 1,024 nodes.
    let mut nodes = [0_u64; 16];
    if let Some(word) = nodes.get_mut(node as usize / 64) {
        *word = 1 << (node % 64);
        // One more than there are bits: the kernel subtracts one.
        let bits = nodes.len() * 64 + 1;
        // The result is ignored. Without this preference, as where a filter forbids mbind, the pages come from the node of the thread that
        // touches them first. They work from any node, only slower.
        // SAFETY: the pages belong to this function alone, and the mask has as many bits as the kernel reads.
        unsafe {
            libc::syscall(
                libc::SYS_mbind,
                memory,
                size,
                libc::MPOL_PREFERRED,
                nodes.as_ptr(),
                bits,
                0,
            )
        };
    }
    NonNull::new(memory.cast())
}

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use hotadd_testing::Need;

    use super::*;

    fn origin_and_value(node: Option<u32>) -> (Origin, [u8; 200], usize) {
        let slot = Slot::make_on(node, 3, 4, [7_u8; 200]).unwrap();
        let address = slot.addr().get();
        // SAFETY: made above, and used by nobody else.
        let slot = unsafe { Slot::take(slot) };
        assert_eq!((slot.index, slot.cpu), (3, 4));
        (slot.origin, slot.value, address)
    }

    #[test]
    fn a_slot_is_apart_from_all_others() {
        let layout = Slot::<u8>::layout().unwrap();
        assert_eq!((layout.size(), layout.align()), (APART, APART));
        let (origin, value, address) = origin_and_value(None);
        assert_eq!((origin, value, address % APART), (Origin::Allocated, [7; 200], 0));
    }

    #[test]
    fn with_several_nodes_a_slot_has_pages_of_its_own() {
        let (origin, value, address) = origin_and_value(Some(0));
        assert_eq!((origin, value, address % SMALLEST_PAGE), (Origin::Mapped, [7; 200], 0));
        let (origin, ..) = origin_and_value(Some(u32::MAX));
        assert_eq!(origin, Origin::Mapped, "a node that does not exist is only not preferred");
    }

    #[test]
    fn mapped_pages_are_on_the_node() {
        let memory = map(4096, 0).unwrap();
        // SAFETY: one page was mapped.
        unsafe { memory.write(1) };
        let page = memory.as_ptr();
        let mut node: libc::c_int = -1;
        // SAFETY: one page to look at, and one status to write; without target nodes nothing is moved.
        let asked = unsafe {
            libc::syscall(
                libc::SYS_move_pages,
                0,
                1_usize,
                &raw const page,
                ptr::null::<libc::c_int>(),
                &raw mut node,
                0,
            )
        };
        // SAFETY: the page was mapped above and is not used again.
        unsafe { libc::munmap(page.cast(), 4096) };
        if asked != 0 {
            hotadd_testing::skip(Need::Numa, "mapped_pages_are_on_the_node");
            return;
        }
        assert_eq!(node, 0, "the kernel says that the page is elsewhere");
    }

    #[test]
    fn a_large_alignment_is_kept() {
        #[repr(align(8192))]
        struct Large(u8);
        let slot = Slot::make_on(Some(0), 0, 0, Large(9)).ok().unwrap();
        assert_eq!(slot.addr().get() % 8192, 0);
        // SAFETY: made above, and used by nobody else.
        assert_eq!(unsafe { Slot::take(slot) }.value.0, 9);
    }
}
