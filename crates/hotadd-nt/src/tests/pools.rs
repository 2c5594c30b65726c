//! Pool allocations are aligned and counted by tag, and can be made to fail.

use std::sync::Mutex;

use crate::ground::abi::Abi;
use crate::kernel::ex::pool::{self, Tag, TagUse};
use crate::tests::{BOTH, call, scene};

/// Injected failures apply to the whole process, so only one test at a time uses them.
static FAILING: Mutex<()> = Mutex::new(());

fn allocate(abi: Abi, size: usize, tag: Tag) -> usize {
    call!(abi, ExAllocatePool2(0x40 => u64, size => usize, tag.0 => u32) -> usize)
}

fn free(abi: Abi, block: usize, tag: Tag) {
    call!(abi, ExFreePoolWithTag(block => usize, tag.0 => u32));
}

fn used(tag: Tag) -> TagUse {
    let accounting = pool::accounting();
    accounting.tags.iter().find(|(one, _)| *one == tag).map_or_else(TagUse::default, |(_, u)| *u)
}

fn bytes(block: usize, size: usize) -> Vec<u8> {
    // SAFETY: a block of that size, which no other code uses.
    unsafe { std::slice::from_raw_parts(block as *const u8, size) }.to_vec()
}

#[test]
fn a_block_is_aligned_and_zeroed_unless_requested_otherwise() {
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"Algn"));
    for abi in BOTH {
        for size in [0, 1, 15, 16, 17, 4095, 4096, 4097, 100_000] {
            let block = allocate(abi, size, tag);
            assert_ne!(block, 0, "{size} bytes");
            assert_eq!(block % if size >= 4096 { 4096 } else { 16 }, 0, "{size} bytes");
            assert!(bytes(block, size).iter().all(|byte| *byte == 0), "{size} bytes");
            free(abi, block, tag);
        }
        let dirty = call!(abi, ExAllocatePoolWithTag(0 => u32, 64 => usize, tag.0 => u32) -> usize);
        assert!(bytes(dirty, 64).iter().all(|b| *b != 0), "uninitialised pool is not zeroed");
        free(abi, dirty, tag);
        let dirty = call!(abi, ExAllocatePool2(0x42 => u64, 64 => usize, tag.0 => u32) -> usize);
        assert!(bytes(dirty, 64).iter().all(|b| *b != 0), "POOL_FLAG_UNINITIALIZED");
        call!(abi, ExFreePool(dirty => usize));
        let zero = call!(abi, ExAllocatePoolZero(512 => u32, 64 => usize, tag.0 => u32) -> usize);
        assert!(bytes(zero, 64).iter().all(|b| *b == 0), "ExAllocatePoolZero");
        call!(abi, ExFreePool2(zero => usize, tag.0 => u32, 0 => usize, 0 => u32));
    }
}

/// `POOL_FLAG_CACHE_ALIGNED`, and the types `NonPagedPoolCacheAligned`, `PagedPoolCacheAligned` and
/// `NonPagedPoolNxCacheAligned`: at a multiple of `SYSTEM_CACHE_ALIGNMENT_SIZE`.
#[test]
fn a_cache_aligned_block_begins_at_a_cache_line() {
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"Line"));
    for abi in BOTH {
        // Several at a time, as a single one could lie there by chance.
        let all: Vec<usize> = [1, 16, 17, 63, 64, 65, 100, 4095, 4096, 5000]
            .into_iter()
            .flat_map(|size| {
                let flags = [0x48_u64, 0x108, 0x4a].map(|flags| {
                    call!(abi, ExAllocatePool2(flags => u64, size => usize, tag.0 => u32) -> usize)
                });
                let kinds = [4_u32, 5, 516].map(|kind| {
                    call!(abi, ExAllocatePoolWithTag(kind => u32, size => usize, tag.0 => u32) -> usize)
                });
                flags.into_iter().chain(kinds)
            })
            .collect();
        for block in &all {
            assert_ne!(*block, 0);
            assert_eq!(block % 64, 0, "{block:#x}");
        }
        all.into_iter().for_each(|block| free(abi, block, tag));
    }
    assert_eq!(used(tag).blocks, 0);
}

/// `ExAllocatePool2` fails if it does not know a required flag. Here it also fails if the flag asks for what does not exist.
#[test]
fn an_allocation_whose_required_flags_cannot_be_kept_fails() {
    const NON_PAGED: u64 = 0x40;
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"Flag"));
    let get = |abi, flags| {
        let block = call!(abi, ExAllocatePool2(flags => u64, 8 => usize, tag.0 => u32) -> usize);
        if block != 0 {
            free(abi, block, tag);
        }
        block != 0
    };
    for abi in BOTH {
        for bit in 0..64 {
            let flag = 1_u64 << bit;
            // Quota, uninitialised, cache aligned, raising, and the pool itself.
            let kept = [0x1, 0x2, 0x8, 0x20, 0x40].contains(&flag) || bit >= 32;
            assert_eq!(get(abi, NON_PAGED | flag), kept, "{flag:#x}");
        }
        assert!(get(abi, 0x100), "paged");
        assert!(!get(abi, 0), "no pool");
        assert!(!get(abi, 0x80), "executable memory does not exist here");
    }
    assert_eq!(used(tag).blocks, 0);
}

#[test]
fn blocks_left_behind_are_counted_and_reported_by_tag() {
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"PcpU"));
    let blocks: Vec<usize> = (0..3).map(|_| allocate(Abi::Win64, 256, tag)).collect();
    assert_eq!(used(tag), TagUse { blocks: 3, bytes: 768, peak: 768, ever: 3 });
    let said = pool::accounting().to_string();
    assert!(said.contains("3 blocks, 768 bytes of tag 'PcpU'"), "{said}");
    for block in blocks {
        free(Abi::Win64, block, tag);
    }
    assert_eq!(used(tag), TagUse { blocks: 0, bytes: 0, peak: 768, ever: 3 });
    let said = pool::accounting().to_string();
    assert!(!said.contains("PcpU"), "freed blocks are not reported: {said}");
}

#[test]
fn an_injected_failure_fails_exactly_the_nth_allocation() {
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"Nth "));
    for abi in BOTH {
        pool::fail_at(Some(3));
        let blocks: Vec<usize> = (0..5).map(|_| allocate(abi, 8, tag)).collect();
        let failed: Vec<bool> = blocks.iter().map(|block| *block == 0).collect();
        assert_eq!(failed, [false, false, true, false, false]);
        for block in blocks.into_iter().filter(|block| *block != 0) {
            free(abi, block, tag);
        }
    }
}

#[test]
fn an_injected_failure_of_a_tag_fails_all_its_allocations_and_no_others() {
    let _one = FAILING.lock().unwrap();
    scene();
    let (tag, other) = (Tag(u32::from_le_bytes(*b"Fail")), Tag(u32::from_le_bytes(*b"Good")));
    pool::fail_tag(Some(tag));
    assert_eq!(allocate(Abi::SysV, 8, tag), 0);
    assert_eq!(allocate(Abi::SysV, 8, tag), 0);
    let block = allocate(Abi::SysV, 8, other);
    assert_ne!(block, 0);
    pool::fail_tag(None);
    free(Abi::SysV, block, other);
    let block = allocate(Abi::SysV, 8, tag);
    assert_ne!(block, 0, "the failure has ended");
    free(Abi::SysV, block, tag);
}

#[test]
fn allocations_beyond_the_limit_or_with_wrong_flags_fail() {
    let _one = FAILING.lock().unwrap();
    scene();
    let tag = Tag(u32::from_le_bytes(*b"Most"));
    assert_eq!(allocate(Abi::SysV, 300 << 20, tag), 0, "the limit is 256 MiB");
    assert_eq!(allocate(Abi::SysV, usize::MAX, tag), 0);
    for flags in [0_u64, 0x140, 0x8000_0040] {
        let block =
            call!(Abi::SysV, ExAllocatePool2(flags => u64, 8 => usize, tag.0 => u32) -> usize);
        assert_eq!(block, 0, "flags {flags:#x}");
    }
    assert_eq!(allocate(Abi::SysV, 8, Tag(0)), 0, "a tag must be given");
    let heard = scene().heard.0.lock().unwrap();
    assert!(heard.iter().any(|line| line.contains("ExAllocatePool2 with the tag 0")), "{heard:?}");
}
