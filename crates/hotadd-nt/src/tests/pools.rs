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
