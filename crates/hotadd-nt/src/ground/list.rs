//! [`Links`]: the links of doubly linked lists in a driver's memory, `LIST_ENTRY`.

use crate::ground::caller;
use crate::ground::foreign::Out;

/// An entry of a list, or its head, by its address: the next entry, and the previous one. A list that is empty
/// consists of a head that points to itself.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Links(Out<Links>);

impl PartialEq for Links {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ptr() == other.0.as_ptr()
    }
}

impl Links {
    /// The links at this place.
    pub(crate) const fn at(place: Out<Self>) -> Self {
        Self(place)
    }

    /// The object that has its links at this offset.
    pub(crate) const fn object<T>(self, offset: usize) -> Out<T> {
        self.0.field(0_usize.wrapping_sub(offset))
    }

    pub(crate) fn next(self) -> Self {
        self.0.get()
    }

    pub(crate) fn previous(self) -> Self {
        self.0.skip(1).get()
    }

    fn join(self, next: Self) {
        self.0.put(next);
        next.0.skip(1).put(self);
    }

    /// Makes a list that is empty.
    pub(crate) fn initialize(self) {
        self.join(self);
    }

    pub(crate) fn is_empty(self) -> bool {
        self.next() == self
    }

    /// Inserts an entry in front of this one. In front of the head is the end of the list.
    pub(crate) fn insert_before(self, entry: Self) {
        let previous = self.previous();
        if previous.next() != self {
            damaged();
        }
        previous.join(entry);
        entry.join(self);
    }

    /// Removes it from its list.
    pub(crate) fn remove(self) {
        let (previous, next) = (self.previous(), self.next());
        if previous.next() != self || next.previous() != self {
            damaged();
        }
        previous.join(next);
    }

    /// The entries of the list with this head. Ends the process if the list does not return to the head.
    pub(crate) fn entries(self) -> impl Iterator<Item = Self> {
        /// More entries than this do not fit into the pool.
        const MOST: u32 = 1 << 24;
        let (mut at, mut left) = (self.next(), MOST);
        std::iter::from_fn(move || {
            if at == self {
                return None;
            }
            left = left.checked_sub(1).unwrap_or_else(|| damaged());
            let entry = at;
            at = at.next();
            Some(entry)
        })
    }
}

/// Reports that neighbours in a list do not point to each other.
#[cold]
fn damaged() -> ! {
    caller::fault("uses a list whose links are damaged (CORRUPT_LIST_ENTRY)")
}
