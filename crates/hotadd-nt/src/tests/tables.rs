//! Generic tables of both kinds: what the pages of `Rtl...GenericTable...` promise, and damaged ones.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::abi::Abi;
use crate::tests::{BOTH, Memory, call, routine, scene};

/// How many elements exist, over all tables.
static ELEMENTS: AtomicUsize = AtomicUsize::new(0);

routine! { fn compare(_table: usize, first: *const u32, second: *const u32) -> u32 {
    match read(first as usize).cmp(&read(second as usize)) {
        std::cmp::Ordering::Less => 0,
        std::cmp::Ordering::Greater => 1,
        std::cmp::Ordering::Equal => 2,
    }
} }

routine! { fn allocate(_table: usize, size: u32) -> usize {
    ELEMENTS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: it takes only a number.
    (unsafe { libc::malloc(size as usize) }) as usize
} }

routine! { fn none(_table: usize, _size: u32) -> usize { 0 } }

routine! { fn free(_table: usize, element: usize) {
    ELEMENTS.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: an element that `allocate` made, for the first time.
    unsafe { libc::free(element as *mut libc::c_void) };
} }

/// A table of numbers.
struct Table {
    abi: Abi,
    balanced: bool,
    /// It contains pointers to itself.
    memory: Box<Memory<0x68>>,
}

/// Calls the function of a table's kind.
macro_rules! of {
    ($table:expr, $plain:ident or $avl:ident($($argument:expr => $type:ty),* $(,)?) $(-> $return:ty)?) => {
        if $table.balanced {
            call!($table.abi, $avl($table.memory.at() => *mut u8 $(, $argument => $type)*) $(-> $return)?)
        } else {
            call!($table.abi, $plain($table.memory.at() => *mut u8 $(, $argument => $type)*) $(-> $return)?)
        }
    };
}

impl Table {
    fn new(abi: Abi, balanced: bool) -> Self {
        let table = Self { abi, balanced, memory: Box::new(Memory::new()) };
        of!(table, RtlInitializeGenericTable or RtlInitializeGenericTableAvl(
            compare(abi) => usize, allocate(abi) => usize, free(abi) => usize, 0x77 => usize,
        ));
        table
    }

    fn all(abi: Abi) -> [Self; 2] {
        [Self::new(abi, false), Self::new(abi, true)]
    }

    /// The address of the element, and whether it is new.
    fn insert(&self, number: u32) -> (usize, u8) {
        let mut new = 7_u8;
        let at = of!(self, RtlInsertElementGenericTable or RtlInsertElementGenericTableAvl(
            &raw const number => *const u32, 4 => u32, &raw mut new => *mut u8,
        ) -> usize);
        (at, new)
    }

    fn fill(&self, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            self.insert(number);
        }
    }

    fn clear(&self) {
        for number in self.numbers() {
            self.delete(number);
        }
    }

    fn look_up(&self, number: u32) -> usize {
        of!(self, RtlLookupElementGenericTable or RtlLookupElementGenericTableAvl(&raw const number => *const u32) -> usize)
    }

    fn delete(&self, number: u32) -> u8 {
        of!(self, RtlDeleteElementGenericTable or RtlDeleteElementGenericTableAvl(&raw const number => *const u32) -> u8)
    }

    fn count(&self) -> u32 {
        of!(self, RtlNumberGenericTableElements or RtlNumberGenericTableElementsAvl() -> u32)
    }

    fn is_empty(&self) -> u8 {
        of!(self, RtlIsGenericTableEmpty or RtlIsGenericTableEmptyAvl() -> u8)
    }

    fn next(&self, restart: bool) -> usize {
        of!(self, RtlEnumerateGenericTable or RtlEnumerateGenericTableAvl(u8::from(restart) => u8) -> usize)
    }

    fn after(&self, key: &mut usize) -> usize {
        of!(self, RtlEnumerateGenericTableWithoutSplaying or RtlEnumerateGenericTableWithoutSplayingAvl(
            &raw mut *key => *mut usize,
        ) -> usize)
    }

    fn number(&self, index: u32) -> usize {
        of!(self, RtlGetElementGenericTable or RtlGetElementGenericTableAvl(index => u32) -> usize)
    }

    fn numbers(&self) -> Vec<u32> {
        let mut key = 0;
        std::iter::from_fn(|| Some(self.after(&mut key)).filter(|at| *at != 0)).map(read).collect()
    }
}

fn read(element: usize) -> u32 {
    // SAFETY: an element of a table, or a number of a test.
    unsafe { (element as *const u32).read_unaligned() }
}

/// Numbers without a pattern.
fn random() -> impl FnMut() -> u32 {
    let mut state = 0x9e37_79b9_u32;
    move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    }
}

/// Checks the links of a balanced tree from this node on. Returns its height.
fn height(node: usize, parent: usize) -> i32 {
    if node == 0 {
        return 0;
    }
    // SAFETY: a node of the table: three pointers and the balance.
    let [up, left, right] = unsafe { (node as *const [usize; 3]).read() };
    assert_eq!(up, parent, "a child points to its parent");
    // SAFETY: the balance follows the three pointers.
    let balance = unsafe { ((node + 24) as *const i8).read() };
    let (left, right) = (height(left, node), height(right, node));
    assert_eq!(right - left, i32::from(balance), "the balance is the difference of the heights");
    assert!((-1..=1).contains(&balance), "the tree is balanced");
    1 + left.max(right)
}

#[test]
fn a_table_is_a_set_in_the_order_of_the_drivers_routine() {
    scene();
    for abi in BOTH {
        for table in Table::all(abi) {
            assert_eq!((table.is_empty(), table.count(), table.numbers()), (1, 0, vec![]));
            let (mut random, mut expected) = (random(), BTreeSet::new());
            for step in 0..3000 {
                let number = random() % 200;
                if random() % 2 == 0 {
                    let new = expected.insert(number);
                    let (at, is_new) = table.insert(number);
                    assert_eq!((read(at), is_new), (number, u8::from(new)), "step {step}");
                } else {
                    let was = expected.remove(&number);
                    assert_eq!(table.delete(number), u8::from(was), "step {step}");
                }
                let found = table.look_up(number);
                assert_eq!(found != 0, expected.contains(&number), "step {step}");
                assert_eq!(table.count() as usize, expected.len());
                if step % 50 == 0 {
                    let all: Vec<u32> = expected.iter().copied().collect();
                    assert_eq!(table.numbers(), all, "sorted, step {step}");
                }
                if table.balanced {
                    let top = table.memory.at() as usize;
                    let root: usize = table.memory.read(16);
                    assert_eq!(height(root, top), table.memory.read::<i32>(0x30), "DepthOfTree");
                }
            }
            table.clear();
            assert_eq!((table.is_empty(), table.count()), (1, 0));
        }
    }
}

/// "If a matching element already exists, returns a pointer to the existing element's data and sets NewElement to FALSE."
#[test]
fn a_matching_element_is_returned_and_stays_where_it_is() {
    scene();
    for abi in BOTH {
        for table in Table::all(abi) {
            let (at, new) = table.insert(5);
            assert_eq!(new, 1);
            table.fill(0..100);
            assert_eq!(table.insert(5), (at, 0), "elements never move");
            assert_eq!((table.look_up(5), table.look_up(1000)), (at, 0));
            let header = if table.balanced { 32 } else { 40 };
            assert!((at - header).is_multiple_of(16), "the data follows the links: {at:#x}");
            table.clear();
        }
    }
}

#[test]
fn an_enumeration_visits_every_element_once_in_order() {
    scene();
    for abi in BOTH {
        for table in Table::all(abi) {
            assert_eq!(table.next(true), 0, "an empty table has no first element");
            table.fill([3, 1, 2, 9, 7]);
            for _ in 0..2 {
                let first = Some(table.next(true));
                let all =
                    std::iter::successors(first, |_| Some(table.next(false)).filter(|at| *at != 0));
                assert_eq!(all.map(read).collect::<Vec<_>>(), [1, 2, 3, 7, 9]);
            }
            table.clear();
        }
    }
}

/// "RtlGetElementGenericTable returns the Ith element inserted in the generic table." A balanced table keeps no order
/// of insertion, so there it is the sorted one.
#[test]
fn elements_have_numbers() {
    scene();
    for abi in BOTH {
        for table in Table::all(abi) {
            table.fill([30, 10, 20]);
            let numbers = || -> Vec<u32> {
                (0..table.count()).map(|index| read(table.number(index))).collect()
            };
            let expected = if table.balanced { [10, 20, 30] } else { [30, 10, 20] };
            assert_eq!(numbers(), expected);
            assert_eq!(read(table.number(1)), expected[1], "also backwards");
            assert_eq!(table.number(3), 0, "NULL if I is too large");
            table.delete(expected[1]);
            assert_eq!(numbers(), [expected[0], expected[2]], "later numbers are decremented");
            assert_eq!(table.number(2), 0);
            table.clear();
        }
    }
}

#[test]
fn a_search_returns_the_place_for_an_insertion() {
    scene();
    for abi in BOTH {
        for table in Table::all(abi) {
            // In a splay tree 9 is now the root, and 5 is below it.
            let third = if table.balanced { 2 } else { 3 };
            for (number, expected) in [(5_u32, 0), (9, 3), (7, third), (7, 1)] {
                let (mut place, mut result, mut new) = (0_usize, 9_u32, 7_u8);
                let found = of!(table, RtlLookupElementGenericTableFull or RtlLookupElementGenericTableFullAvl(
                    &raw const number => *const u32, &raw mut place => *mut usize, &raw mut result => *mut u32,
                ) -> usize);
                assert_eq!((result, found != 0), (expected, expected == 1), "{number}");
                let at = of!(table, RtlInsertElementGenericTableFull or RtlInsertElementGenericTableFullAvl(
                    &raw const number => *const u32, 4 => u32, &raw mut new => *mut u8, place => usize, result => u32,
                ) -> usize);
                assert_eq!((read(at), new), (number, u8::from(expected != 1)));
            }
            assert_eq!(table.numbers(), [5, 7, 9]);
            table.clear();
        }
    }
}

/// "If the new element cannot be inserted (because the AllocateRoutine fails), returns NULL."
#[test]
fn an_insertion_without_memory_returns_null() {
    scene();
    for abi in BOTH {
        for balanced in [false, true] {
            let table = Table { abi, balanced, memory: Box::new(Memory::new()) };
            of!(table, RtlInitializeGenericTable or RtlInitializeGenericTableAvl(
                compare(abi) => usize, none(abi) => usize, free(abi) => usize, 0 => usize,
            ));
            assert_eq!(table.insert(1), (0, 0));
            assert_eq!((table.count(), table.is_empty()), (0, 1));
        }
    }
}

#[test]
fn an_element_that_is_deleted_during_an_enumeration_does_not_stop_it() {
    scene();
    for abi in BOTH {
        let table = Table::new(abi, true);
        table.fill(0..50);
        let (mut seen, mut at) = (Vec::new(), table.next(true));
        while at != 0 {
            seen.push(read(at));
            table.delete(read(at));
            at = table.next(false);
        }
        assert_eq!((seen, table.count()), ((0..50).collect(), 0));
    }
}

routine! { fn is_even(_table: usize, element: *const u32, most: *const u32) -> u32 {
    let (number, most) = (read(element as usize), read(most as usize));
    if number > most {
        return 0xC000_0273;
    }
    if number % 2 == 0 { 0 } else { 0xC000_0272 }
} }

#[test]
fn a_search_like_in_a_directory_finds_what_matches_and_survives_deletions() {
    scene();
    for abi in BOTH {
        let table = Table::new(abi, true);
        table.fill(0..20);
        let (mut key, mut deleted, most) = (0_usize, 0_u32, 13_u32);
        let mut next = |next: u32, from: u32| {
            call!(abi, RtlEnumerateGenericTableLikeADirectory(
                table.memory.at() => *mut u8, is_even(abi) => usize, &raw const most => *const u32, next => u32,
                &raw mut key => *mut usize, &raw mut deleted => *mut u32, &raw const from => *const u32,
            ) -> usize)
        };
        assert_eq!(read(next(0, 3)), 4, "the first match from there on");
        assert_eq!(read(next(0, 3)), 4, "again");
        assert_eq!(read(next(1, 3)), 6, "the next one");
        table.delete(6);
        assert_eq!(read(next(1, 6)), 8, "after the place of one that is gone");
        assert_eq!((read(next(1, 8)), read(next(1, 10))), (10, 12));
        assert_eq!(next(1, 12), 0, "STATUS_NO_MORE_MATCHES ends it");
        let (mut first, number) = (0_usize, 9_u32);
        let found = call!(abi, RtlLookupFirstMatchingElementGenericTableAvl(
            table.memory.at() => *mut u8, &raw const number => *const u32, &raw mut first => *mut usize,
        ) -> usize);
        assert_eq!((read(found), table.after(&mut first) != 0), (9, true));
        table.clear();
    }
}

#[test]
fn links_of_the_drivers_own_form_a_tree() {
    scene();
    for abi in BOTH {
        let mut nodes = [[0_usize; 3]; 7];
        let at = nodes.as_mut_ptr() as usize;
        let node = |index: usize| at + 24 * index;
        // A chain to the right, as insertions in sorted order make it.
        for (index, links) in nodes.iter_mut().enumerate() {
            *links =
                [node(index.saturating_sub(1)), 0, if index < 6 { node(index + 1) } else { 0 }];
        }
        let ask = |name: &str, links: usize| match name {
            "next" => call!(abi, RtlRealSuccessor(links => usize) -> usize),
            "previous" => call!(abi, RtlRealPredecessor(links => usize) -> usize),
            "below" => call!(abi, RtlSubtreeSuccessor(links => usize) -> usize),
            "under" => call!(abi, RtlSubtreePredecessor(links => usize) -> usize),
            "splay" => call!(abi, RtlSplay(links => usize) -> usize),
            _ => call!(abi, RtlDelete(links => usize) -> usize),
        };
        assert_eq!(ask("splay", node(4)), node(4), "the node becomes the root");
        for index in 0..7 {
            let next = if index < 6 { node(index + 1) } else { 0 };
            let previous = if index > 0 { node(index - 1) } else { 0 };
            assert_eq!((ask("next", node(index)), ask("previous", node(index))), (next, previous));
        }
        assert_eq!((ask("below", node(4)), ask("under", node(4))), (node(5), node(3)));
        let root = ask("delete", node(4));
        assert_eq!(ask("next", node(3)), node(5), "{root:#x} is the root without it");
        let mut root = root;
        call!(abi, RtlDeleteNoSplay(node(0) => usize, &raw mut root => *mut usize));
        assert_eq!((ask("previous", node(1)), ask("splay", root)), (0, root));
    }
}
