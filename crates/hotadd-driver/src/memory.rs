//! [`Pool`]: the nonpaged pool as Rust's allocator.

use core::alloc::{GlobalAlloc, Layout};

use windows_sys::Wdk::System::SystemServices::{ExAllocatePool2, ExFreePoolWithTag};

/// `POOL_FLAG_NON_PAGED`.
const NON_PAGED: u64 = 0x40;

/// `POOL_FLAG_UNINITIALIZED`.
const UNINITIALIZED: u64 = 0x2;

/// The alignment of every block on 64-bit systems.
const ALIGNED: usize = 16;

/// Blocks of at least a page are aligned to it.
const PAGE: usize = 4096;

/// The nonpaged pool, with one tag.
pub struct Pool {
    tag: u32,
}

impl Pool {
    /// A pool with this tag.
    #[must_use]
    pub const fn new(tag: [u8; 4]) -> Self {
        Self { tag: u32::from_le_bytes(tag) }
    }

    fn take(&self, layout: Layout, flags: u64) -> *mut u8 {
        let size = match layout.align() {
            align if align <= ALIGNED => layout.size(),
            align if align <= PAGE => layout.size().max(PAGE),
            // The pool provides no such alignment.
            _ => return core::ptr::null_mut(),
        };
        // SAFETY: it may be called with any size, and returns null if the memory is not available.
        unsafe { ExAllocatePool2(flags, size, self.tag).cast() }
    }
}

// SAFETY: pool blocks do not move and have the requested size and alignment; nothing here panics.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.take(layout, NON_PAGED | UNINITIALIZED)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.take(layout, NON_PAGED)
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller guarantees that it is a block of this pool with this tag.
        unsafe { ExFreePoolWithTag(block.cast(), self.tag) };
    }
}

/// Compilers for Windows require this symbol where floating point is used, as in the number functions of Rust's
/// library. Its value has no meaning.
#[cfg(windows)]
#[unsafe(no_mangle)]
static _fltused: i32 = 0;
