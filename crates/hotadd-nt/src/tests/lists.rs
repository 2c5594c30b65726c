//! Interlocked lists, lookaside lists.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::abi::Abi;
use crate::kernel::ex::pool::{self, Tag};
use crate::tests::{BOTH, Memory, call, routine, scene};

fn push(abi: Abi, list: *mut u8, entry: *mut u8) -> usize {
    call!(abi, ExpInterlockedPushEntrySList(list => *mut u8, entry => *mut u8) -> usize)
}

fn pop(abi: Abi, list: *mut u8) -> usize {
    call!(abi, ExpInterlockedPopEntrySList(list => *mut u8) -> usize)
}

fn depth(abi: Abi, list: *mut u8) -> u16 {
    call!(abi, ExQueryDepthSList(list => *mut u8) -> u16)
}

#[test]
fn a_singly_linked_list_pops_the_last_entry_first() {
    scene();
    for abi in BOTH {
        let list = Memory::<16>::new();
        call!(abi, InitializeSListHead(list.at() => *mut u8));
        assert_eq!((pop(abi, list.at()), depth(abi, list.at())), (0, 0));
        let entries: Vec<Memory<16>> = (0..3).map(|_| Memory::new()).collect();
        let mut before = 0;
        for entry in &entries {
            assert_eq!(push(abi, list.at(), entry.at()), before);
            before = entry.at() as usize;
        }
        assert_eq!(list.read::<u16>(0), 3, "the depth is where inlined code reads it");
        assert_eq!(pop(abi, list.at()), entries[2].at() as usize);
        assert_eq!(depth(abi, list.at()), 2);
        let first = call!(abi, ExpInterlockedFlushSList(list.at() => *mut u8) -> usize);
        assert_eq!(first, entries[1].at() as usize);
        assert_eq!(entries[1].read::<usize>(0), entries[0].at() as usize, "linked");
        assert_eq!(depth(abi, list.at()), 0);
    }
}

#[test]
fn concurrent_pushes_and_pops_lose_and_double_no_entry() {
    scene();
    for abi in BOTH {
        let list = Memory::<16>::new();
        call!(abi, InitializeSListHead(list.at() => *mut u8));
        let entries: Vec<Memory<16>> = (0..8).map(|_| Memory::new()).collect();
        for entry in &entries {
            push(abi, list.at(), entry.at());
        }
        let popped = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        let entry = pop(abi, list.at());
                        if entry != 0 {
                            popped.fetch_add(1, Ordering::Relaxed);
                            push(abi, list.at(), entry as *mut u8);
                        }
                    }
                });
            }
        });
        assert!(popped.into_inner() > 0);
        assert_eq!(depth(abi, list.at()), 8);
        let mut all: Vec<usize> = (0..8).map(|_| pop(abi, list.at())).collect();
        all.sort_unstable();
        let mut expected: Vec<usize> = entries.iter().map(|entry| entry.at() as usize).collect();
        expected.sort_unstable();
        assert_eq!(all, expected);
    }
}

#[test]
fn interlocked_operations_change_a_doubly_linked_list_at_both_ends() {
    scene();
    for abi in BOTH {
        let (head, lock) = (Memory::<16>::new(), AtomicUsize::new(0));
        let link = |memory: &Memory<16>, at: usize, to: usize| {
            // SAFETY: within the memory.
            unsafe { memory.at().wrapping_add(at).cast::<usize>().write(to) };
        };
        let list = head.at() as usize;
        link(&head, 0, list);
        link(&head, 8, list);
        let [one, two, three] = [(); 3].map(|()| Memory::<16>::new());
        let address = |entry: &Memory<16>| entry.at() as usize;
        let in_front = |entry: &Memory<16>| call!(abi, ExInterlockedInsertHeadList(list => usize, address(entry) => usize, &lock => &AtomicUsize) -> usize);
        let at_end = |entry: &Memory<16>| call!(abi, ExInterlockedInsertTailList(list => usize, address(entry) => usize, &lock => &AtomicUsize) -> usize);
        let take = || call!(abi, ExInterlockedRemoveHeadList(list => usize, &lock => &AtomicUsize) -> usize);
        assert_eq!(take(), 0, "it is empty");
        assert_eq!(in_front(&one), 0, "it was empty");
        assert_eq!(at_end(&two), address(&one));
        assert_eq!(in_front(&three), address(&one));
        assert_eq!(
            [take(), take(), take(), take()],
            [address(&three), address(&one), address(&two), 0]
        );
        assert_eq!((head.read::<usize>(0), head.read::<usize>(8)), (list, list), "empty again");
        assert_eq!(lock.into_inner(), 0, "the lock is free");
    }
}

#[test]
fn interlocked_operations_change_numbers_and_single_lists() {
    scene();
    for abi in BOTH {
        let lock = AtomicUsize::new(0);
        let (large, small) = (Memory::<8>::new(), Memory::<8>::new());
        // SAFETY: within the memory.
        unsafe { large.at().cast::<i64>().write(40) };
        // SAFETY: within the memory.
        unsafe { small.at().cast::<u32>().write(u32::MAX) };
        let was = call!(abi, ExInterlockedAddLargeInteger(
            large.at() => *mut u8, -42 => i64, &lock => &AtomicUsize,
        ) -> i64);
        assert_eq!((was, large.read::<i64>(0)), (40, -2));
        let was = call!(abi, ExInterlockedAddUlong(
            small.at() => *mut u8, 3 => u32, &lock => &AtomicUsize,
        ) -> u32);
        assert_eq!((was, small.read::<u32>(0)), (u32::MAX, 2), "it wraps");
        let head = AtomicUsize::new(0);
        let entry = AtomicUsize::new(9);
        let address = &raw const entry as usize;
        let was = call!(abi, ExInterlockedPushEntryList(
            &head => &AtomicUsize, address => usize, &lock => &AtomicUsize,
        ) -> usize);
        assert_eq!(
            (was, head.load(Ordering::Relaxed), entry.load(Ordering::Relaxed)),
            (0, address, 0)
        );
        let pop = || call!(abi, ExInterlockedPopEntryList(&head => &AtomicUsize, &lock => &AtomicUsize) -> usize);
        assert_eq!((pop(), pop()), (address, 0));
    }
}

/// What a driver's compiler inlines for `ExAllocateFrom...` and `ExFreeTo...`, as in the public headers.
struct Inlined<'a>(Abi, &'a Memory<0x80>);

impl Inlined<'_> {
    fn call(&self, at: usize, arguments: [usize; 4]) -> usize {
        let [a, b, c, d] = arguments;
        let function = self.1.read::<*const std::ffi::c_void>(at);
        match self.0 {
            Abi::Win64 => {
                type Function = unsafe extern "win64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: what the list holds is a function of this convention.
                let function =
                    unsafe { std::mem::transmute::<*const std::ffi::c_void, Function>(function) };
                // SAFETY: with the arguments that it takes.
                unsafe { function(a, b, c, d) }
            }
            Abi::SysV => {
                type Function = unsafe extern "sysv64" fn(usize, usize, usize, usize) -> usize;
                // SAFETY: what the list holds is a function of this convention.
                let function =
                    unsafe { std::mem::transmute::<*const std::ffi::c_void, Function>(function) };
                // SAFETY: with the arguments that it takes.
                unsafe { function(a, b, c, d) }
            }
        }
    }

    fn allocate(&self) -> usize {
        match pop(self.0, self.1.at()) {
            0 => {
                let word = |at| self.1.read::<u32>(at) as usize;
                self.call(0x30, [word(0x24), word(0x2c), word(0x28), self.1.at() as usize])
            }
            entry => entry,
        }
    }

    fn free(&self, entry: usize) {
        if depth(self.0, self.1.at()) >= self.1.read::<u16>(0x10) {
            self.call(0x38, [entry, self.1.at() as usize, 0, 0]);
        } else {
            push(self.0, self.1.at(), entry as *mut u8);
        }
    }
}

fn outstanding(tag: u32) -> usize {
    let accounting = pool::accounting();
    accounting.tags.iter().find(|(one, _)| *one == Tag(tag)).map_or(0, |(_, used)| used.blocks)
}

#[test]
fn a_lookaside_list_keeps_blocks_until_it_is_deleted() {
    scene();
    for (abi, tag) in [(Abi::Win64, *b"LooW"), (Abi::SysV, *b"LooS")] {
        let tag = u32::from_le_bytes(tag);
        let list = Memory::<0x80>::new();
        let inlined = Inlined(abi, &list);
        let null = std::ptr::null::<u8>();
        call!(abi, ExInitializeNPagedLookasideList(
            list.at() => *mut u8, null => *const u8, null => *const u8, 0 => u32, 48 => usize, tag => u32, 0 => u16,
        ));
        let blocks: Vec<usize> = (0..100).map(|_| inlined.allocate()).collect();
        assert!(blocks.iter().all(|block| *block != 0));
        assert_eq!(outstanding(tag), 100);
        for block in blocks {
            inlined.free(block);
        }
        let kept = outstanding(tag);
        assert_eq!(
            kept,
            usize::from(depth(abi, list.at())),
            "some blocks are kept, the others freed"
        );
        assert!(kept > 0 && kept < 100, "{kept}");
        inlined.free(inlined.allocate());
        assert_eq!(outstanding(tag), kept, "a kept block is used again");
        call!(abi, ExDeleteNPagedLookasideList(list.at() => *mut u8));
        assert_eq!(outstanding(tag), 0);
    }
}

#[test]
fn a_lookaside_list_calls_its_drivers_own_functions() {
    static FREED: AtomicUsize = AtomicUsize::new(0);
    static BLOCKS: [Memory<64>; 2] =
        [const { Memory([const { std::cell::UnsafeCell::new(0) }; 64]) }; 2];
    routine! {
        fn allocate(kind: usize, size: usize, tag: usize, _list: usize) -> usize {
            // The upper halves of 32-bit arguments are undefined.
            let is_right = kind as u32 == 512 && size == 64 && tag as u32 == 7;
            if is_right { BLOCKS[0].at() as usize } else { 0 }
        }
    }
    routine! {
        fn free(block: usize, _list: usize) {
            FREED.fetch_add(block, Ordering::SeqCst);
        }
    }
    scene();
    for abi in BOTH {
        FREED.store(0, Ordering::SeqCst);
        let list = Memory::<0x80>::new();
        let status = call!(abi, ExInitializeLookasideListEx(
            list.at() => *mut u8, allocate(abi) => usize, free(abi) => usize, 512 => i32, 0 => u32,
            64 => usize, 7 => u32, 0 => u16,
        ) -> i32);
        assert_eq!(status, 0);
        let inlined = Inlined(abi, &list);
        let block = inlined.allocate();
        assert_eq!(block, BLOCKS[0].at() as usize);
        inlined.free(block);
        assert_eq!(FREED.load(Ordering::SeqCst), 0, "it is kept");
        call!(abi, ExDeleteLookasideListEx(list.at() => *mut u8));
        assert_eq!(FREED.load(Ordering::SeqCst), block);
    }
}
