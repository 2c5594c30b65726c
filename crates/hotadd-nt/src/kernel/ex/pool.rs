//! Pool: memory for drivers, by tag. Outstanding allocations can be queried, and allocations can be made to
//! fail.
//!
//! Paged and nonpaged memory are the same here, and no memory of a driver is executable.

use std::fmt;

use hotadd::Status;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::exception::{Exception, or_fault};
use crate::ground::fault::Fault;
use crate::ground::images::{self, Place};
use crate::ground::probe;
use crate::ground::rule::Rule;
use crate::kernel::ex::heap::{self, Alignment, Heap, Wrong};
use crate::kernel::ke::{dispatch, dpc_queue, irql};

/// Four letters that name the purpose of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

impl fmt::Display for Tag {
    /// In memory order, as tools show it: `'UpcP'` in C is PcpU.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.to_le_bytes() {
            let letter = if byte == b' ' || byte.is_ascii_graphic() { byte } else { b'.' };
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

/// Allocation statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TagUse {
    /// Blocks that are not freed.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The maximum number of bytes at a time.
    pub peak: usize,
    /// Blocks allocated in total.
    pub ever: u64,
}

impl TagUse {
    pub(crate) fn grow(&mut self, size: usize) {
        self.blocks += 1;
        self.bytes += size;
        self.peak = self.peak.max(self.bytes);
        self.ever += 1;
    }

    pub(crate) fn shrink(&mut self, size: usize) {
        self.blocks -= 1;
        self.bytes -= size;
    }
}

/// What drivers have allocated, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// The sum of all tags.
    pub total: TagUse,
    /// By tag, for every tag that was ever used.
    pub tags: Vec<(Tag, TagUse)>,
}

impl fmt::Display for Accounting {
    /// The outstanding memory: `768 bytes of pool left: 3 blocks, 768 bytes of tag 'PcpU'`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of pool left", self.total.bytes)?;
        let left = self.tags.iter().filter(|(_, used)| used.blocks != 0);
        for (at, (tag, used)) in left.enumerate() {
            let before = if at == 0 { ":" } else { "," };
            let plural = if used.blocks == 1 { "" } else { "s" };
            write!(
                f,
                "{before} {} block{plural}, {} bytes of tag '{tag}'",
                used.blocks, used.bytes
            )?;
        }
        Ok(())
    }
}

/// The current allocations.
#[must_use]
pub fn accounting() -> Accounting {
    heap::with(|heap| heap.accounting())
}

/// Makes the `nth` allocation from now fail, or none (`None`).
pub fn fail_at(nth: Option<u64>) {
    heap::with(|heap| heap.fail_at(nth));
}

/// Makes every allocation with a tag fail from now on, or none (`None`).
pub fn fail_tag(tag: Option<Tag>) {
    heap::with(|heap| heap.fail_tag(tag));
}

/// Makes allocations fail above this many bytes in total. The default is 256 MiB.
pub fn limit(bytes: usize) {
    heap::with(|heap| heap.set_limit(bytes));
}

/// From now on each block of pool lies against pages that are not accessible, and a freed block is not accessible: a wrong use is a
/// fault at once. This takes some pages for each block.
pub fn guard() {
    heap::with(Heap::guard);
}

/// A block of pool.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its size in bytes.
    pub size: usize,
    /// Its tag.
    pub tag: Tag,
    /// Where the driver allocated it. Known only if a [probe](crate::probe) is installed.
    pub origin: Option<Place>,
    /// How many blocks were allocated before it.
    pub serial: u64,
}

/// The blocks that are not freed, in the order of their allocation.
#[must_use]
pub fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = heap::with(|heap| heap.blocks().map(Block::from).collect());
    blocks.sort_unstable_by_key(|block| block.serial);
    blocks
}

/// What an address has to do with pool that is [guarded](guard).
#[derive(Clone, Debug)]
pub struct Near {
    /// The block.
    pub block: Block,
    /// The offset of the address from the block's beginning.
    pub offset: isize,
    /// Whether the block is freed.
    pub freed: bool,
}

/// The block that an address belongs to or is next to. `None` if there is no guarded one.
#[must_use]
pub fn near(address: usize) -> Option<Near> {
    let found = heap::with(|heap| {
        heap.near(address).map(|(start, block, freed)| (start, Block::from(block), freed))
    })?;
    let (start, block, freed) = found;
    Some(Near { block, offset: address.wrapping_sub(start).cast_signed(), freed })
}

impl From<&heap::Block> for Block {
    fn from(block: &heap::Block) -> Self {
        Self { size: block.size, tag: block.tag, origin: block.origin, serial: block.serial }
    }
}

/// The tag of memory that is allocated without one.
const NONE: Tag = Tag(u32::from_le_bytes(*b"None"));

/// `POOL_QUOTA_FAIL_INSTEAD_OF_RAISE` and `POOL_RAISE_IF_ALLOCATION_FAILURE`, in a `POOL_TYPE`.
const QUOTA_FAIL: u32 = 8;
const RAISE: u32 = 16;
/// Whether a `POOL_TYPE` is paged.
const PAGED: u32 = 1;

/// Whether a `POOL_TYPE` is aligned to the cache: the types from 4 to 7, with any flags above.
const CACHE_ALIGNED: u32 = 4;

/// The flags of `ExAllocatePool2`.
mod flag {
    pub(super) const USE_QUOTA: u64 = 0x1;
    pub(super) const UNINITIALIZED: u64 = 0x2;
    pub(super) const CACHE_ALIGNED: u64 = 0x8;
    pub(super) const RAISE_ON_FAILURE: u64 = 0x20;
    pub(super) const NON_PAGED: u64 = 0x40;
    pub(super) const NON_PAGED_EXECUTE: u64 = 0x80;
    pub(super) const PAGED: u64 = 0x100;
    /// The required flags. The flags in the upper half are optional: an unknown one is ignored.
    pub(super) const REQUIRED: u64 = 0xffff_ffff;
    /// The required flags that are honoured. The others are reserved, or ask for what does not exist here: memory of a session, and memory
    /// that is executable.
    pub(super) const HONOURED: u64 =
        USE_QUOTA | UNINITIALIZED | CACHE_ALIGNED | RAISE_ON_FAILURE | NON_PAGED | PAGED;
}

/// How a driver asked that a failure of an allocation becomes an exception, in its own words.
type Raise = Option<&'static str>;

/// The flag of a `POOL_TYPE`, if it is set.
fn raise_by_type(kind: u32) -> Raise {
    (kind & RAISE != 0).then_some("POOL_RAISE_IF_ALLOCATION_FAILURE")
}

/// A quota is charged, and an exception raised, unless the flag is set.
fn raise_by_quota(kind: u32) -> Raise {
    (kind & QUOTA_FAIL == 0).then_some("no POOL_QUOTA_FAIL_INSTEAD_OF_RAISE")
}

nt! {
    /// Allocates memory without a tag.
    fn ExAllocatePool(kind: u32, size: usize) -> usize { or_fault(by_type(kind, size, None)) }

    /// Allocates memory.
    fn ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> usize {
        or_fault(by_type(kind, size, Some(tag)))
    }

    /// Allocates memory. The priority would select which allocations fail first when memory is short. It is
    /// ignored: either there is enough, or none.
    fn ExAllocatePoolWithTagPriority(kind: u32, size: usize, tag: u32, _priority: i32) -> usize {
        or_fault(by_type(kind, size, Some(tag)))
    }

    /// Allocates memory, or raises an exception.
    fn ExAllocatePoolWithQuotaTag(kind: u32, size: usize, tag: u32) -> usize {
        or_fault(with_quota(kind, size, tag))
    }

    /// Allocates memory, or raises an exception.
    fn ExAllocatePoolQuotaWithTag(kind: u32, size: usize, tag: u32) -> usize {
        or_fault(with_quota(kind, size, tag))
    }

    /// Allocates memory that is zero.
    fn ExAllocatePoolZero(kind: u32, size: usize, tag: u32) -> usize { or_fault(zeroed(kind, size, tag)) }

    /// Allocates memory with undefined content.
    fn ExAllocatePoolUninitialized(kind: u32, size: usize, tag: u32) -> usize {
        or_fault(by_type(kind, size, Some(tag)))
    }

    /// Allocates memory, which is zero unless the flags say otherwise.
    fn ExAllocatePool2(flags: u64, size: usize, tag: u32) -> usize { or_fault(by_flags(flags, size, tag)) }

    /// Allocates memory. The extended parameters have no effect here.
    fn ExAllocatePool3(flags: u64, size: usize, tag: u32, _parameters: usize, _count: u32) -> usize {
        or_fault(by_flags(flags, size, tag))
    }

    /// Frees memory.
    fn ExFreePool(address: usize) { free("ExFreePool", address, None) }

    /// Frees memory. A tag that is not 0 must match.
    fn ExFreePoolWithTag(address: usize, tag: u32) {
        free("ExFreePoolWithTag", address, Some(Tag(tag)).filter(|tag| tag.0 != 0));
    }

    /// Frees memory. A tag that is not 0 must match.
    fn ExFreePool2(address: usize, tag: u32, _parameters: usize, _count: u32) {
        free("ExFreePool2", address, Some(Tag(tag)).filter(|tag| tag.0 != 0));
    }
}

/// What is allocated, or 0, or an exception if the caller asked for one.
type Allocated = Result<usize, Exception>;

/// What an allocation asks for.
#[derive(Clone, Copy)]
struct Request {
    size: usize,
    tag: Tag,
    zeroed: bool,
    paged: bool,
    alignment: Alignment,
    raise: Raise,
}

/// Allocates by `POOL_TYPE`.
fn old(kind: u32, size: usize, tag: Tag, zeroed: bool, raise: Raise) -> Allocated {
    let alignment = if kind & CACHE_ALIGNED == 0 { Alignment::Any } else { Alignment::Cache };
    allocate(Request { size, tag, zeroed, paged: kind & PAGED != 0, alignment, raise })
}

/// Allocates by `POOL_TYPE`.
pub(crate) fn by_type(kind: u32, size: usize, tag: Option<u32>) -> Allocated {
    old(kind, size, tag.map_or(NONE, Tag), false, raise_by_type(kind))
}

/// Allocates by `POOL_TYPE`, and raises unless told otherwise.
pub(crate) fn with_quota(kind: u32, size: usize, tag: u32) -> Allocated {
    old(kind, size, Tag(tag), false, raise_by_quota(kind))
}

/// Allocates by `POOL_TYPE`, with zeros.
pub(crate) fn zeroed(kind: u32, size: usize, tag: u32) -> Allocated {
    old(kind, size, Tag(tag), true, raise_by_type(kind))
}

/// Allocates by flags.
pub(crate) fn by_flags(flags: u64, size: usize, tag: u32) -> Allocated {
    let tag = Tag(tag);
    let has = |flag: u64| flags & flag != 0;
    let raise = has(flag::RAISE_ON_FAILURE).then_some("POOL_FLAG_RAISE_ON_FAILURE");
    let alignment = if has(flag::CACHE_ALIGNED) { Alignment::Cache } else { Alignment::Any };
    let (zeroed, paged) = (!has(flag::UNINITIALIZED), has(flag::PAGED));
    let request = Request { size, tag, zeroed, paged, alignment, raise };
    let pools = flags & (flag::NON_PAGED | flag::NON_PAGED_EXECUTE | flag::PAGED);
    let others = flags & flag::REQUIRED & !flag::HONOURED & !flag::NON_PAGED_EXECUTE;
    let wrong = if tag.0 == 0 {
        "with the tag 0".to_owned()
    } else if pools.count_ones() != 1 {
        format!("with the flags {flags:#x}, which name no pool type")
    } else if has(flag::NON_PAGED_EXECUTE) {
        "with POOL_FLAG_NON_PAGED_EXECUTE, and no memory is executable here".to_owned()
    } else if others != 0 {
        format!("with the flags {others:#x}, which are required and cannot be honoured")
    } else {
        return allocate(request);
    };
    caller::breach(&format!("calls ExAllocatePool2 {wrong}: the call fails"));
    failed(request)
}

fn allocate(request: Request) -> Allocated {
    let Request { size, tag, zeroed, paged, alignment, .. } = request;
    irql::at_most("a pool function", if paged { irql::APC } else { irql::DISPATCH });
    if probe::fails() {
        return failed(request);
    }
    // Finding the caller takes time, and only a verifier wants to know.
    let origin = probe::get().and_then(|_| caller::address()).and_then(images::place);
    let memory = heap::with(|heap| heap.allocate(size, tag, zeroed, alignment, origin));
    memory.map_or_else(|| failed(request), Ok)
}

/// The result of a failed allocation.
fn failed(Request { size, tag, raise, .. }: Request) -> Allocated {
    let tag = tag.0.to_le_bytes();
    raise.map_or(Ok(0), |asked| Err(Exception::NoPool { size, tag, asked }))
}

pub(crate) fn free(function: &str, address: usize, tag: Option<Tag>) {
    irql::at_most(function, irql::DISPATCH);
    if let Some(size) = heap::with(|heap| heap.size_of(address)) {
        let range = address..address + size;
        let dispatcher = dispatch::lock();
        let (waits, timers) = (dispatcher.waits_within(&range), dispatcher.timers.within(&range));
        drop(dispatcher);
        if waits != 0 {
            caller::fault_of(
                Rule::FreedInUse,
                format!("frees with {function} an object on which {waits} threads wait"),
            );
        }
        if timers != 0 {
            caller::fault_of(
                Rule::FreedInUse,
                format!("frees with {function} a timer that is set"),
            );
        }
        if dpc_queue::within(&range) != 0 {
            caller::fault_of(
                Rule::FreedInUse,
                format!("frees with {function} a DPC that is queued"),
            );
        }
    }
    let Err(wrong) = heap::with(|heap| heap.free(address, tag)) else {
        return;
    };
    let what = match &wrong {
        Wrong::Foreign => format!("calls {function} for {address:#x}, which is not a pool block"),
        Wrong::Twice(tag) => {
            format!(
                "calls {function} for {address:#x}, a block of tag '{tag}' that is already freed"
            )
        }
        Wrong::Tag(its) => format!(
            "calls {function} with tag '{}' for a block of tag '{its}'",
            tag.map_or_else(String::new, |tag| tag.to_string())
        ),
        Wrong::Overrun { tag, size, before } => format!(
            "wrote {} its block of {size} bytes of pool, tag '{tag}'; found by {function}",
            if *before { "in front of" } else { "beyond" }
        ),
        Wrong::WrittenAfterFree { tag, size, offset } => format!(
            "wrote to byte {offset} of its block of {size} bytes of pool, tag '{tag}', after freeing it; found by {function}"
        ),
    };
    let rule = match wrong {
        Wrong::Foreign | Wrong::Tag(_) => Rule::BadFree,
        Wrong::Twice(_) => Rule::DoubleFree,
        Wrong::Overrun { .. } => Rule::PoolOverrun,
        Wrong::WrittenAfterFree { .. } => Rule::UseAfterFree,
    };
    let place = caller::address().unwrap_or(0);
    let fault = Fault::new(Status::UNSUCCESSFUL, format!("{what} (BAD_POOL_CALLER)"), place);
    // The block that was damaged, for a verifier that knows its blocks.
    let address = matches!(wrong, Wrong::Overrun { .. }).then_some(address);
    Fault { address, ..fault.of(rule) }.raise();
}
