//! The memory behind the pool functions: blocks with a tag, counted, and looked at when they are freed.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ptr;

use parking_lot::Mutex;

use crate::ground::memory::PAGE;
use crate::kernel::ex::pool::{Accounting, Tag, TagUse};

/// A block smaller than a page begins on a multiple of this. A larger one begins on a page.
const SMALL: usize = 16;
/// Behind every block, to see whether its owner writes beyond it; in front of small ones too.
const GUARD: usize = 16;
/// What guards hold.
const GUARD_BYTE: u8 = 0xfb;
/// What freed memory and memory that was not asked to be zero holds: a pointer made of it leads nowhere.
const FREED: u8 = 0xdd;
const UNINITIALIZED: u8 = 0xcd;
/// How many bytes and blocks are kept for a while after they are freed, to see whether somebody still writes there.
const KEPT_BYTES: usize = 1 << 20;
const KEPT_BLOCKS: usize = 1024;

/// What is wrong with a pointer that is to be freed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is no block, and was none lately.
    Foreign,
    /// It was freed already.
    Twice(Tag),
    /// It has another tag.
    Tag(Tag),
    /// Its guards were written over.
    Overrun { tag: Tag, size: usize, before: bool },
    /// Another block, freed before, was written to.
    WrittenAfterFree { tag: Tag, size: usize, offset: usize },
}

struct Block {
    tag: Tag,
    size: usize,
}

/// All blocks of the process.
pub(crate) struct Heap {
    blocks: BTreeMap<usize, Block>,
    freed: VecDeque<(usize, Block)>,
    freed_bytes: usize,
    tags: HashMap<Tag, TagUse>,
    total: TagUse,
    /// The most bytes at a time.
    limit: usize,
    /// Which allocation from now fails.
    fail_at: Option<u64>,
    fail_tag: Option<Tag>,
}

static HEAP: Mutex<Option<Heap>> = Mutex::new(None);

/// Does something to the heap.
pub(crate) fn with<T>(act: impl FnOnce(&mut Heap) -> T) -> T {
    act(HEAP.lock().get_or_insert_with(Heap::new))
}

/// The memory of a block of this size: its layout, and where in it the block begins.
fn layout(size: usize) -> Option<(Layout, usize)> {
    let (align, before) = if size >= PAGE { (PAGE, 0) } else { (SMALL, GUARD) };
    let whole = size.checked_add(before)?.checked_add(GUARD)?;
    Some((Layout::from_size_align(whole, align).ok()?, before))
}

impl Heap {
    fn new() -> Self {
        Self {
            blocks: BTreeMap::new(),
            freed: VecDeque::new(),
            freed_bytes: 0,
            tags: HashMap::new(),
            total: TagUse::default(),
            limit: 256 << 20,
            fail_at: None,
            fail_tag: None,
        }
    }

    pub(crate) fn set_limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    pub(crate) fn fail_at(&mut self, nth: Option<u64>) {
        self.fail_at = nth;
    }

    pub(crate) fn fail_tag(&mut self, tag: Option<Tag>) {
        self.fail_tag = tag;
    }

    /// Whether this allocation is one that was to fail.
    fn is_to_fail(&mut self, tag: Tag) -> bool {
        let nth = match self.fail_at {
            Some(0 | 1) => {
                self.fail_at = None;
                true
            }
            Some(more) => {
                self.fail_at = Some(more - 1);
                false
            }
            None => false,
        };
        nth || self.fail_tag == Some(tag)
    }

    /// A block, or `None` if there is no memory, or was to be none.
    pub(crate) fn allocate(&mut self, size: usize, tag: Tag, zeroed: bool) -> Option<usize> {
        if self.is_to_fail(tag) {
            return None;
        }
        if self.total.bytes.checked_add(size)? > self.limit {
            return None;
        }
        let (layout, before) = layout(size)?;
        // SAFETY: its size is never zero, as there is a guard.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return None;
        }
        let address = memory as usize + before;
        // SAFETY: the memory begins with a guard of so many bytes.
        unsafe { fill(memory as usize, before, GUARD_BYTE) };
        if !zeroed {
            // SAFETY: behind the first guard lies the block, of so many bytes.
            unsafe { fill(address, size, UNINITIALIZED) };
        }
        // SAFETY: behind the block lies the second guard, which ends the memory.
        unsafe { fill(address + size, GUARD, GUARD_BYTE) };
        self.blocks.insert(address, Block { tag, size });
        self.total.grow(size);
        self.tags.entry(tag).or_default().grow(size);
        Some(address)
    }

    /// Frees a block. With a tag it must be its own.
    pub(crate) fn free(&mut self, address: usize, tag: Option<Tag>) -> Result<(), Wrong> {
        let Some(block) = self.blocks.get(&address) else {
            let freed = self.freed.iter().find(|(at, _)| *at == address);
            return Err(freed.map_or(Wrong::Foreign, |(_, block)| Wrong::Twice(block.tag)));
        };
        if tag.is_some_and(|tag| tag != block.tag) {
            return Err(Wrong::Tag(block.tag));
        }
        let overrun = |before| Wrong::Overrun { tag: block.tag, size: block.size, before };
        let (_, before) = layout(block.size).expect("it was allocated");
        // SAFETY: the guard before a block in the table, which is not given back.
        if unsafe { find_other(address - before, before, GUARD_BYTE) }.is_some() {
            return Err(overrun(true));
        }
        // SAFETY: the guard behind the same block.
        if unsafe { find_other(address + block.size, GUARD, GUARD_BYTE) }.is_some() {
            return Err(overrun(false));
        }
        let block = self.blocks.remove(&address).expect("found above");
        self.total.shrink(block.size);
        self.tags.entry(block.tag).or_default().shrink(block.size);
        // SAFETY: a block that was in the table. Its driver has given it up, and it is not given back yet.
        unsafe { fill(address, block.size, FREED) };
        self.freed_bytes += block.size;
        self.freed.push_back((address, block));
        while self.freed_bytes > KEPT_BYTES || self.freed.len() > KEPT_BLOCKS {
            self.forget()?;
        }
        Ok(())
    }

    /// Gives the memory back that was freed longest ago.
    fn forget(&mut self) -> Result<(), Wrong> {
        let Some((address, block)) = self.freed.pop_front() else {
            return Ok(());
        };
        self.freed_bytes -= block.size;
        // SAFETY: a block that is given back only below.
        let other = unsafe { find_other(address, block.size, FREED) };
        if let Some(offset) = other {
            return Err(Wrong::WrittenAfterFree { tag: block.tag, size: block.size, offset });
        }
        let (layout, before) = layout(block.size).expect("it was allocated");
        // SAFETY: allocated with this layout, and nobody has it any more.
        unsafe { dealloc((address - before) as *mut u8, layout) };
        Ok(())
    }

    /// How large the block is that begins there.
    pub(crate) fn size_of(&self, address: usize) -> Option<usize> {
        self.blocks.get(&address).map(|block| block.size)
    }

    pub(crate) fn accounting(&self) -> Accounting {
        let mut tags: Vec<_> = self.tags.iter().map(|(tag, used)| (*tag, *used)).collect();
        tags.sort_unstable_by_key(|(tag, _)| *tag);
        Accounting { total: self.total, tags }
    }
}

/// Fills memory of a block.
///
/// # Safety
/// It lies inside of a block and its guards that this file has allocated.
unsafe fn fill(address: usize, size: usize, byte: u8) {
    // SAFETY: allocated, by the caller's word. No reference to it is ever made here.
    unsafe { ptr::write_bytes(address as *mut u8, byte, size) };
}

/// How far behind `address` the first byte lies that is another.
///
/// # Safety
/// It lies inside of a block and its guards that this file has allocated.
unsafe fn find_other(address: usize, size: usize, byte: u8) -> Option<usize> {
    (0..size).find(|offset| {
        let at = (address + offset) as *const u8;
        // SAFETY: allocated, and filled before, by the caller's word. Volatile: the driver may be writing.
        unsafe { at.read_volatile() != byte }
    })
}
