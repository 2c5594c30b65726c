//! [`Arena`]: pages for blocks of pool that are guarded by the processor. Between any two blocks lies a page that is not accessible, and a
//! freed block becomes such pages for good.

use std::ops::Range;

use rustix::mm::{Advice, MprotectFlags, madvise, mprotect};

use crate::ground::memory::{Memory, PAGE};

/// The address space is reserved in pieces of this size.
const PIECE: usize = 256 << 20;
/// How much may be reserved in total. It leaves the rest of the process's address space, which is limited, to threads.
const MOST: usize = 1 << 30;
/// A block ends at the end of its pages, except for what its alignment asks for.
const ALIGNMENT: usize = 16;

/// Pages for guarded blocks.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pieces: Vec<Memory>,
    /// How much of the newest piece is used.
    used: usize,
}

impl Arena {
    /// A block of this size: its address, and its pages. `None` if it does not fit: then it is not guarded.
    pub(super) fn block(&mut self, size: usize) -> Option<(usize, Range<usize>)> {
        // A block of 0 bytes has an address too.
        let whole = size.max(1).checked_next_multiple_of(PAGE)?;
        let needed = whole.checked_add(PAGE)?;
        if needed > PIECE {
            return None;
        }
        if self.pieces.is_empty() || self.used + needed > PIECE {
            if self.pieces.len() == MOST / PIECE {
                return None;
            }
            self.pieces.push(Memory::reserve(PIECE, None).ok()?);
            self.used = 0;
        }
        let piece = self.pieces.last_mut()?;
        piece.protect(self.used, whole, MprotectFlags::READ | MprotectFlags::WRITE).ok()?;
        let start = piece.base() + self.used;
        self.used += needed;
        // A block of a page or more begins at a page.
        let before = if size >= PAGE { 0 } else { whole - size.max(1).next_multiple_of(ALIGNMENT) };
        Some((start + before, start..start + whole))
    }

    /// Makes the pages of a freed block inaccessible, and gives their memory back.
    pub(super) fn close(pages: &Range<usize>) {
        let (start, size) = (pages.start as *mut _, pages.len());
        // SAFETY: these are whole pages of a block of this arena, which its driver has freed. No reference to them exists.
        let done = unsafe { mprotect(start, size, MprotectFlags::empty()) };
        debug_assert_eq!(done, Ok(()), "pages of the arena can be protected");
        // SAFETY: the same; their content is not needed any more.
        let _ = unsafe { madvise(start, size, Advice::LinuxDontNeed) };
    }
}
