//! The memory of the pool functions: tagged blocks, which are counted, and checked when they are freed.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::ptr;

use parking_lot::Mutex;

use crate::ground::images::Place;
use crate::ground::memory::PAGE;
use crate::kernel::ex::arena::Arena;
use crate::kernel::ex::pool::{Accounting, Tag, TagUse};

/// A block smaller than a page is aligned to this, unless it is to be aligned to the cache. A larger one is aligned to
/// a page.
const SMALL: usize = 16;
/// The size of a cache line: `SYSTEM_CACHE_ALIGNMENT_SIZE`.
const CACHE_LINE: usize = 64;
/// The size of the guard after every block, which detects writes outside the block. The guard before a small block is as
/// large as its alignment.
const GUARD: usize = 16;
/// The content of guards.
const GUARD_BYTE: u8 = 0xfb;
/// The content of freed memory, and of memory that need not be zero: a pointer of these bytes is invalid.
const FREED: u8 = 0xdd;
const UNINITIALIZED: u8 = 0xcd;
/// How many bytes and blocks are kept for a while after they are freed, to detect later writes.
const KEPT_BYTES: usize = 1 << 20;
const KEPT_BLOCKS: usize = 1024;
/// How many guarded blocks are remembered after they are freed.
const KEPT_GUARDED: usize = 64 * 1024;

/// Why a pointer cannot be freed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is not a block, and was not freed recently.
    Foreign,
    /// It was freed already.
    Twice(Tag),
    /// It has another tag.
    Tag(Tag),
    /// Its guards were overwritten.
    Overrun { tag: Tag, size: usize, before: bool },
    /// Another block was written to after it was freed.
    WrittenAfterFree { tag: Tag, size: usize, offset: usize },
}

/// A block, and what is known about it.
pub(crate) struct Block {
    pub(crate) tag: Tag,
    pub(crate) size: usize,
    alignment: Alignment,
    /// The driver's call that allocated it.
    pub(crate) origin: Option<Place>,
    pub(crate) serial: u64,
    /// If it has pages of its own: their range, without the guard pages around them.
    pages: Option<Range<usize>>,
}

/// To what a block is aligned that is smaller than a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// As every allocation.
    Any,
    /// To the beginning of a cache line.
    Cache,
}

/// All blocks of the process.
pub(crate) struct Heap {
    blocks: BTreeMap<usize, Block>,
    freed: VecDeque<(usize, Block)>,
    freed_bytes: usize,
    tags: HashMap<Tag, TagUse>,
    total: TagUse,
    /// The maximum number of bytes at a time.
    limit: usize,
    /// The number of the allocation, from now, that fails.
    fail_at: Option<u64>,
    fail_tag: Option<Tag>,
    /// The memory of guarded blocks. `None` if blocks are not guarded.
    arena: Option<Arena>,
}

static HEAP: Mutex<Option<Heap>> = Mutex::new(None);

/// Runs a function on the heap.
pub(crate) fn with<T>(act: impl FnOnce(&mut Heap) -> T) -> T {
    act(HEAP.lock().get_or_insert_with(Heap::new))
}

/// The layout of a block, and the block's offset in it.
fn layout(size: usize, alignment: Alignment) -> Option<(Layout, usize)> {
    let (align, before) = match alignment {
        _ if size >= PAGE => (PAGE, 0),
        Alignment::Any => (SMALL, SMALL),
        Alignment::Cache => (CACHE_LINE, CACHE_LINE),
    };
    let whole = size.checked_add(before)?.checked_add(GUARD)?;
    Some((Layout::from_size_align(whole, align).ok()?, before))
}

impl Block {
    /// How many bytes before and behind the block must not be written.
    fn guards(&self, address: usize) -> (usize, usize) {
        match &self.pages {
            Some(pages) => (address - pages.start, pages.end - address - self.size),
            None => {
                let (_, before) = layout(self.size, self.alignment).expect("it was allocated");
                (before, GUARD)
            }
        }
    }
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
            arena: None,
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

    /// Whether this allocation is to fail.
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

    /// Allocates a block. Returns `None` if there is no memory, or if the allocation is to fail.
    pub(crate) fn allocate(
        &mut self,
        size: usize,
        tag: Tag,
        zeroed: bool,
        alignment: Alignment,
        origin: Option<Place>,
    ) -> Option<usize> {
        if self.is_to_fail(tag) {
            return None;
        }
        if self.total.bytes.checked_add(size)? > self.limit {
            return None;
        }
        let serial = self.total.ever;
        if let Some((address, pages)) = self.arena.as_mut().and_then(|arena| arena.block(size)) {
            // SAFETY: the pages are this block's alone. The bytes behind the block show writes that the guard page does not.
            unsafe { fill(pages.start, address - pages.start, GUARD_BYTE) };
            // SAFETY: the same.
            unsafe { fill(address, size, if zeroed { 0 } else { UNINITIALIZED }) };
            // SAFETY: the same.
            unsafe { fill(address + size, pages.end - address - size, GUARD_BYTE) };
            return Some(self.enter(
                address,
                Block { tag, size, alignment, origin, serial, pages: Some(pages) },
            ));
        }
        let (layout, before) = layout(size, alignment)?;
        // SAFETY: the size is never zero, because it includes a guard.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            return None;
        }
        let address = memory as usize + before;
        // SAFETY: the memory begins with a guard of this many bytes.
        unsafe { fill(memory as usize, before, GUARD_BYTE) };
        if !zeroed {
            // SAFETY: the block follows the first guard and has this many bytes.
            unsafe { fill(address, size, UNINITIALIZED) };
        }
        // SAFETY: the second guard follows the block and ends the memory.
        unsafe { fill(address + size, GUARD, GUARD_BYTE) };
        Some(self.enter(address, Block { tag, size, alignment, origin, serial, pages: None }))
    }

    fn enter(&mut self, address: usize, block: Block) -> usize {
        self.total.grow(block.size);
        self.tags.entry(block.tag).or_default().grow(block.size);
        self.blocks.insert(address, block);
        address
    }

    /// Gives each block from now on pages of its own.
    pub(crate) fn guard(&mut self) {
        self.arena.get_or_insert_with(Arena::default);
    }

    /// The blocks that are not freed.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.values()
    }

    /// The guarded block that has this address in its pages or in the pages around them, its start, and whether it is freed.
    pub(crate) fn near(&self, address: usize) -> Option<(usize, &Block, bool)> {
        let has = |block: &Block| {
            let pages = block.pages.as_ref()?;
            (pages.start - PAGE..pages.end + PAGE).contains(&address).then_some(())
        };
        let live = self.blocks.iter().map(|(start, block)| (*start, block, false));
        let freed = self.freed.iter().rev().map(|(start, block)| (*start, block, true));
        // The page between two blocks guards both: a block that is followed by it counts first, since drivers run over the end.
        let mut all: Vec<_> =
            live.chain(freed).filter(|(_, block, _)| has(block).is_some()).collect();
        all.sort_by_key(|(start, _, _)| address < *start);
        all.into_iter().next()
    }

    /// Frees a block. If a tag is given, it must be the block's.
    pub(crate) fn free(&mut self, address: usize, tag: Option<Tag>) -> Result<(), Wrong> {
        let Some(block) = self.blocks.get(&address) else {
            let freed = self.freed.iter().find(|(at, _)| *at == address);
            return Err(freed.map_or(Wrong::Foreign, |(_, block)| Wrong::Twice(block.tag)));
        };
        if tag.is_some_and(|tag| tag != block.tag) {
            return Err(Wrong::Tag(block.tag));
        }
        let overrun = |before| Wrong::Overrun { tag: block.tag, size: block.size, before };
        let (before, behind) = block.guards(address);
        // SAFETY: this is the guard before a block in the table, which is still allocated.
        if unsafe { find_other(address - before, before, GUARD_BYTE) }.is_some() {
            return Err(overrun(true));
        }
        // SAFETY: this is the guard after the same block.
        if unsafe { find_other(address + block.size, behind, GUARD_BYTE) }.is_some() {
            return Err(overrun(false));
        }
        let block = self.blocks.remove(&address).expect("found above");
        self.total.shrink(block.size);
        self.tags.entry(block.tag).or_default().shrink(block.size);
        if let Some(pages) = &block.pages {
            Arena::close(pages);
        } else {
            // SAFETY: the block was in the table. Its driver has freed it, and its memory is still allocated.
            unsafe { fill(address, block.size, FREED) };
            self.freed_bytes += block.size;
        }
        self.freed.push_back((address, block));
        // What is guarded costs no memory.
        let most = if self.arena.is_some() { KEPT_GUARDED } else { KEPT_BLOCKS };
        while self.freed_bytes > KEPT_BYTES || self.freed.len() > most {
            self.forget()?;
        }
        Ok(())
    }

    /// Releases the memory that was freed longest ago.
    fn forget(&mut self) -> Result<(), Wrong> {
        let Some((address, block)) = self.freed.pop_front() else {
            return Ok(());
        };
        if block.pages.is_some() {
            // Its addresses are not used again.
            return Ok(());
        }
        self.freed_bytes -= block.size;
        // SAFETY: the block's memory is released only below.
        let other = unsafe { find_other(address, block.size, FREED) };
        if let Some(offset) = other {
            return Err(Wrong::WrittenAfterFree { tag: block.tag, size: block.size, offset });
        }
        let (layout, before) = layout(block.size, block.alignment).expect("it was allocated");
        // SAFETY: it was allocated with this layout, and nothing uses it any more.
        unsafe { dealloc((address - before) as *mut u8, layout) };
        Ok(())
    }

    /// The size of the block that begins at this address.
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
/// The range lies inside a block and its guards that this file has allocated.
unsafe fn fill(address: usize, size: usize, byte: u8) {
    // SAFETY: the caller guarantees that it is allocated. No reference to it is ever made here.
    unsafe { ptr::write_bytes(address as *mut u8, byte, size) };
}

/// The offset from `address` of the first byte that differs.
///
/// # Safety
/// The range lies inside a block and its guards that this file has allocated.
unsafe fn find_other(address: usize, size: usize, byte: u8) -> Option<usize> {
    let word = usize::from_ne_bytes([byte; size_of::<usize>()]);
    let mut offset = 0;
    // A plain loop, by words where it can: the guards of a block with pages of its own are nearly a page.
    while offset < size {
        let at = address + offset;
        if at.is_multiple_of(size_of::<usize>()) && size - offset >= size_of::<usize>() {
            // SAFETY: the caller guarantees that it is allocated and was filled before, and it is a whole word in the
            // range. Volatile, because the driver may be writing.
            if unsafe { (at as *const usize).read_volatile() } == word {
                offset += size_of::<usize>();
                continue;
            }
        }
        // SAFETY: the same, of a byte.
        if unsafe { (at as *const u8).read_volatile() } != byte {
            return Some(offset);
        }
        offset += 1;
    }
    None
}
