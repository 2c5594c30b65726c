//! The functions for generic tables, implemented once for both kinds.

use std::ffi::c_void;
use std::marker::PhantomData;

use super::avl::{self as balanced, Avl};
use super::links::{Node, Side, Steps, damaged};
use super::shape::Shape;
use super::splay::Splay;
use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::routine::Routine;
use crate::ground::types::Boolean;

nt! {
    /// Initialises a table that is empty.
    fn RtlInitializeGenericTable(
        table: Out<u8>, compare: usize, allocate: usize, free: usize, context: usize,
    ) {
        Table::<Splay>::of(table).initialize([compare, allocate, free, context]);
    }

    /// Inserts an element, unless there is an equal one. Returns the data of the element in the table, or NULL.
    fn RtlInsertElementGenericTable(
        table: Out<u8>, data: In<u8>, size: u32, new: Out<Boolean>,
    ) -> usize {
        Table::<Splay>::of(table).insert(data, size, new)
    }

    /// Inserts an element at the place that a search has found.
    fn RtlInsertElementGenericTableFull(
        table: Out<u8>, data: In<u8>, size: u32, new: Out<Boolean>, at: Out<Node>, found: u32,
    ) -> usize {
        Table::<Splay>::of(table).insert_at(data, size, new, Found::read(at, found))
    }

    /// The data of the element that equals this, or NULL.
    fn RtlLookupElementGenericTable(table: Out<u8>, data: In<u8>) -> usize {
        Table::<Splay>::of(table).look_up(data)
    }

    /// The same. Stores the place, for an insertion.
    fn RtlLookupElementGenericTableFull(
        table: Out<u8>, data: In<u8>, at: Out<Node>, found: Out<u32>,
    ) -> usize {
        Table::<Splay>::of(table).look_up_place(data, at, found)
    }

    /// Deletes the element that equals this. Returns whether there was one.
    fn RtlDeleteElementGenericTable(table: Out<u8>, data: In<u8>) -> Boolean {
        u8::from(Table::<Splay>::of(table).delete(data))
    }

    /// The data of the next element in sorted order, or of the first one.
    fn RtlEnumerateGenericTable(table: Out<u8>, restart: Boolean) -> usize {
        enumerate(Table::of(table), restart != 0)
    }

    /// The data of the element after the one of the key, or of the first one.
    fn RtlEnumerateGenericTableWithoutSplaying(table: Out<u8>, key: Out<Node>) -> usize {
        Table::<Splay>::of(table).after(key)
    }

    /// The data of the element of this number, in the order of insertion.
    fn RtlGetElementGenericTable(table: Out<u8>, number: u32) -> usize {
        Table::<Splay>::of(table).number(number)
    }

    /// How many elements there are.
    fn RtlNumberGenericTableElements(table: Out<u8>) -> u32 { Table::<Splay>::of(table).count().get() }

    /// Whether there are no elements.
    fn RtlIsGenericTableEmpty(table: Out<u8>) -> Boolean { u8::from(Splay::root(table).is_none()) }
}

/// The functions for balanced tables.
pub(super) mod avl {
    use super::*;

    nt! {
        /// Initialises a table that is empty.
        fn RtlInitializeGenericTableAvl(
            table: Out<u8>, compare: usize, allocate: usize, free: usize, context: usize,
        ) {
            Table::<Avl>::of(table).initialize([compare, allocate, free, context]);
        }

        /// Inserts an element, unless there is an equal one. Returns the data of the element in the table, or NULL.
        fn RtlInsertElementGenericTableAvl(
            table: Out<u8>, data: In<u8>, size: u32, new: Out<Boolean>,
        ) -> usize {
            Table::<Avl>::of(table).insert(data, size, new)
        }

        /// Inserts an element at the place that a search has found.
        fn RtlInsertElementGenericTableFullAvl(
            table: Out<u8>, data: In<u8>, size: u32, new: Out<Boolean>, at: Out<Node>, found: u32,
        ) -> usize {
            Table::<Avl>::of(table).insert_at(data, size, new, Found::read(at, found))
        }

        /// The data of the element that equals this, or NULL.
        fn RtlLookupElementGenericTableAvl(table: Out<u8>, data: In<u8>) -> usize {
            Table::<Avl>::of(table).look_up(data)
        }

        /// The same. Stores the place, for an insertion.
        fn RtlLookupElementGenericTableFullAvl(
            table: Out<u8>, data: In<u8>, at: Out<Node>, found: Out<u32>,
        ) -> usize {
            Table::<Avl>::of(table).look_up_place(data, at, found)
        }

        /// The data of the first of the elements that equal this, and the key to go on from there.
        fn RtlLookupFirstMatchingElementGenericTableAvl(table: Out<u8>, data: In<u8>, key: Out<Node>) -> usize {
            first_equal(Table::of(table), data, key)
        }

        /// Deletes the element that equals this. Returns whether there was one.
        fn RtlDeleteElementGenericTableAvl(table: Out<u8>, data: In<u8>) -> Boolean {
            u8::from(Table::<Avl>::of(table).delete(data))
        }

        /// The data of the next element in sorted order, or of the first one.
        fn RtlEnumerateGenericTableAvl(table: Out<u8>, restart: Boolean) -> usize {
            if restart != 0 {
                balanced::restart(table).put(Node::none());
            }
            Table::<Avl>::of(table).after(balanced::restart(table))
        }

        /// The data of the element after the one of the key, or of the first one.
        fn RtlEnumerateGenericTableWithoutSplayingAvl(table: Out<u8>, key: Out<Node>) -> usize {
            Table::<Avl>::of(table).after(key)
        }

        /// The data of the next element that matches. Elements may be deleted between two calls.
        fn RtlEnumerateGenericTableLikeADirectory(
            table: Out<u8>, matching: *const c_void, argument: usize, next: u32, key: Out<Node>,
            deleted: Out<u32>, data: In<u8>,
        ) -> usize {
            like_a_directory(Table::of(table), (matching, argument), next != 0, key, deleted, data)
        }

        /// The data of the element of this number, in sorted order.
        fn RtlGetElementGenericTableAvl(table: Out<u8>, number: u32) -> usize {
            Table::<Avl>::of(table).number(number)
        }

        /// How many elements there are.
        fn RtlNumberGenericTableElementsAvl(table: Out<u8>) -> u32 { Table::<Avl>::of(table).count().get() }

        /// Whether there are no elements.
        fn RtlIsGenericTableEmptyAvl(table: Out<u8>) -> Boolean { u8::from(Avl::root(table).is_none()) }
    }
}

/// A table of a driver.
struct Table<S> {
    at: Out<u8>,
    shape: PhantomData<S>,
}

impl<S> Clone for Table<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Table<S> {}

/// The result of a search.
#[derive(Clone, Copy)]
enum Found {
    /// The table is empty.
    Nothing,
    Element(Node),
    /// The element would be inserted on this side of that one.
    Place(Node, Side),
}

impl Found {
    /// From `NodeOrParent` and a `TABLE_SEARCH_RESULT`.
    fn read(at: Out<Node>, found: u32) -> Self {
        let node = Node::at(at);
        match found {
            0 => Self::Nothing,
            1 => Self::Element(node),
            2 => Self::Place(node, Side::Left),
            3 => Self::Place(node, Side::Right),
            _ => caller::fault(format!(
                "passes {found}, which is not a result of a search in a table"
            )),
        }
    }

    fn write(self, at: Out<Node>, found: Out<u32>) {
        let (node, result) = match self {
            Self::Nothing => (Node::none(), 0),
            Self::Element(node) => (node, 1),
            Self::Place(node, Side::Left) => (node, 2),
            Self::Place(node, Side::Right) => (node, 3),
        };
        at.put(node);
        found.put(result);
    }
}

/// The order of two elements, as `RTL_GENERIC_COMPARE_RESULTS` has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Less,
    Greater,
    Equal,
}

impl<S: Shape> Table<S> {
    const fn of(at: Out<u8>) -> Self {
        Self { at, shape: PhantomData }
    }

    fn count(self) -> Out<u32> {
        self.at.field(S::COUNT)
    }

    /// The element that was requested by number most recently, and its number, counted from 1.
    fn ordered(self) -> (Out<Node>, Out<u32>) {
        (self.at.field(S::ORDERED), self.at.field(S::ORDERED + 8))
    }

    /// The driver's routines: 0 compares, 1 allocates, 2 frees.
    fn routine(self, which: usize) -> Routine {
        let routine: Out<*const c_void> = self.at.field(S::COMPARE + 8 * which);
        let Some(routine) = Routine::new(routine.get()) else {
            caller::fault("uses a table that was not initialised, or without one of its routines")
        };
        routine
    }

    fn initialize(self, routines: [usize; 4]) {
        self.at.put_all(&vec![0; S::SIZE]);
        self.at.field(S::COMPARE).put(routines);
        S::initialize(self.at);
    }

    fn data(node: Node) -> usize {
        node.address() + S::HEADER
    }

    fn compare(self, data: In<u8>, node: Node) -> Order {
        let arguments = [self.at.as_ptr() as usize, data.as_ptr() as usize, Self::data(node), 0];
        // SAFETY: the driver guarantees that it is an RTL_GENERIC_COMPARE_ROUTINE for its elements.
        let order = unsafe { self.routine(0).call(arguments) };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "an enumeration of 32 bits; the upper half is anything"
        )]
        match order as u32 {
            0 => Order::Less,
            1 => Order::Greater,
            2 => Order::Equal,
            other => caller::fault(format!(
                "returned {other} from a CompareRoutine; the results are 0 (less), 1 (greater) and 2 (equal)"
            )),
        }
    }

    fn search(self, data: In<u8>) -> Found {
        let Some(mut node) = S::root(self.at) else { return Found::Nothing };
        let mut steps = S::height(self.at);
        loop {
            steps.step();
            let side = match self.compare(data, node) {
                Order::Equal => return Found::Element(node),
                Order::Less => Side::Left,
                Order::Greater => Side::Right,
            };
            match node.child(side) {
                Some(child) => node = child,
                None => return Found::Place(node, side),
            }
        }
    }

    fn insert(self, data: In<u8>, size: u32, new: Out<Boolean>) -> usize {
        self.insert_at(data, size, new, self.search(data))
    }

    fn insert_at(self, data: In<u8>, size: u32, new: Out<Boolean>, found: Found) -> usize {
        new.put_if_wanted(0);
        let place = match found {
            Found::Element(node) => {
                S::used(self.at, node);
                return Self::data(node);
            }
            Found::Nothing => None,
            Found::Place(node, side) => Some((node, side)),
        };
        let occupied = match place {
            None => S::root(self.at).is_some(),
            Some((node, side)) => node.child(side).is_some(),
        };
        if occupied {
            caller::fault("inserts into a table at a place that is not free");
        }
        let Some(whole) = (S::HEADER as u64 + u64::from(size)).try_into().ok() else { return 0 };
        let whole: u32 = whole;
        // SAFETY: the driver guarantees that it is an RTL_GENERIC_ALLOCATE_ROUTINE.
        let memory =
            unsafe { self.routine(1).call([self.at.as_ptr() as usize, whole as usize, 0, 0]) };
        if memory == 0 {
            return 0;
        }
        // SAFETY: the driver has allocated it for this element, with the size that was requested.
        let memory: Out<u8> = unsafe { Out::new(memory as *mut u8) };
        memory.put_all(&vec![0; S::HEADER]);
        memory.skip(S::HEADER).put_all(&data.to_vec(size as usize));
        let node = Node::at(memory.cast());
        S::link(self.at, node, place);
        self.count().put(self.count().get().wrapping_add(1));
        self.forget_number();
        new.put_if_wanted(1);
        Self::data(node)
    }

    fn look_up(self, data: In<u8>) -> usize {
        match self.search(data) {
            Found::Element(node) => {
                S::used(self.at, node);
                Self::data(node)
            }
            _ => 0,
        }
    }

    fn look_up_place(self, data: In<u8>, at: Out<Node>, result: Out<u32>) -> usize {
        let found = self.search(data);
        found.write(at, result);
        match found {
            Found::Element(node) => {
                S::used(self.at, node);
                Self::data(node)
            }
            _ => 0,
        }
    }

    fn delete(self, data: In<u8>) -> bool {
        let Found::Element(node) = self.search(data) else { return false };
        S::unlink(self.at, node);
        self.count().put(self.count().get().wrapping_sub(1));
        self.forget_number();
        // SAFETY: the driver guarantees that it is an RTL_GENERIC_FREE_ROUTINE, and the element is no longer used.
        unsafe { self.routine(2).call([self.at.as_ptr() as usize, node.address(), 0, 0]) };
        true
    }

    /// The data of the element after that of a key, which it moves. At the end it moves to none.
    fn after(self, key: Out<Node>) -> usize {
        let next = match key.get().non_null() {
            None => S::root(self.at).map(|root| root.end(Side::Left, &mut S::height(self.at))),
            Some(node) => node.neighbour(Side::Right, &mut Steps::many()),
        };
        if let Some(next) = next {
            key.put(next);
        }
        next.map_or(0, Self::data)
    }

    fn forget_number(self) {
        let (element, number) = self.ordered();
        element.put(Node::none());
        number.put(0);
    }

    fn number(self, wanted: u32) -> usize {
        if wanted >= self.count().get() {
            return 0;
        }
        let (element, number) = self.ordered();
        let (mut at, mut node) = match element.get().non_null() {
            Some(node) if (1..=wanted + 1).contains(&number.get()) => (number.get() - 1, node),
            _ => (0, S::first(self.at).unwrap_or_else(|| damaged())),
        };
        while at < wanted {
            node = S::next(self.at, node).unwrap_or_else(|| damaged());
            at += 1;
        }
        element.put(node);
        number.put(at + 1);
        Self::data(node)
    }
}

/// The current element is the root, as the documentation's flattened tree has it in front.
fn enumerate(table: Table<Splay>, restart: bool) -> usize {
    let Some(root) = Splay::root(table.at) else { return 0 };
    let mut steps = Steps::many();
    let next = if restart {
        Some(root.end(Side::Left, &mut steps))
    } else {
        root.neighbour(Side::Right, &mut steps)
    };
    if let Some(next) = next {
        Splay::used(table.at, next);
    }
    next.map_or(0, Table::<Splay>::data)
}

fn first_equal(table: Table<Avl>, data: In<u8>, key: Out<Node>) -> usize {
    let (mut found, mut at, mut steps) = (None, Avl::root(table.at), Avl::height(table.at));
    while let Some(node) = at {
        steps.step();
        let order = table.compare(data, node);
        if order == Order::Equal {
            found = Some(node);
        }
        at = node.child(if order == Order::Greater { Side::Right } else { Side::Left });
    }
    key.put(found.unwrap_or(Node::none()));
    found.map_or(0, Table::<Avl>::data)
}

/// `STATUS_NO_MATCH`: the next element may match.
const NO_MATCH: u32 = 0xC000_0272;

fn like_a_directory(
    table: Table<Avl>,
    (matching, argument): (*const c_void, usize),
    next: bool,
    key: Out<Node>,
    deleted: Out<u32>,
    data: In<u8>,
) -> usize {
    let after = |node: Node| Avl::next(table.at, node);
    let now = balanced::deleted(table.at).get();
    let known = key.get().non_null().filter(|_| deleted.get() == now);
    // The element of the key may be gone. Then the search goes on where it would be.
    let mut at = match known.map_or_else(|| table.search(data), Found::Element) {
        Found::Nothing => None,
        Found::Element(node) if next => after(node),
        Found::Element(node) | Found::Place(node, Side::Left) => Some(node),
        Found::Place(node, Side::Right) => after(node),
    };
    deleted.put(now);
    while let Some(node) = at {
        let status = Routine::new(matching).map_or(0, |matching| {
            let arguments = [table.at.as_ptr() as usize, Table::<Avl>::data(node), argument, 0];
            // SAFETY: the driver guarantees that it is an RTL_AVL_MATCH_FUNCTION.
            (unsafe { matching.call(arguments) }) as u32
        });
        match status {
            0 => {
                key.put(node);
                return Table::<Avl>::data(node);
            }
            NO_MATCH => at = after(node),
            // STATUS_NO_MORE_MATCHES, and any error.
            _ => break,
        }
    }
    0
}
