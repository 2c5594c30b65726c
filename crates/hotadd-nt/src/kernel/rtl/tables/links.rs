//! Nodes of binary trees in a driver's memory, as `RTL_SPLAY_LINKS` and the beginning of `RTL_BALANCED_LINKS` lay them
//! out: the parent, the left child, the right child.

use crate::ground::caller;
use crate::ground::foreign::Out;

/// A node, by its address. What it points to is the driver's memory, which may have any content.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Node(Out<Node>);

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}

/// Which child of its parent a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// Ends a walk through a damaged tree, which may contain a cycle.
pub(super) struct Steps(u32);

impl Steps {
    /// For a tree whose size is unknown. More nodes than this do not fit into the pool.
    pub(super) const fn many() -> Self {
        Self(1 << 24)
    }

    /// For a tree of this height.
    pub(super) const fn of(height: u32) -> Self {
        Self(height)
    }

    pub(super) fn step(&mut self) {
        match self.0.checked_sub(1) {
            Some(left) => self.0 = left,
            None => damaged(),
        }
    }
}

/// Reports that a tree is not one.
#[cold]
pub(super) fn damaged() -> ! {
    caller::fault("uses a table whose links are damaged")
}

impl Node {
    /// The node at this place.
    pub(super) const fn at(place: Out<Self>) -> Self {
        Self(place)
    }

    pub(super) fn address(self) -> usize {
        self.0.as_ptr() as usize
    }

    /// `None` for null.
    pub(super) fn non_null(self) -> Option<Self> {
        self.0.non_null().map(Self)
    }

    /// The null pointer, which stands for no node.
    pub(super) const fn none() -> Self {
        Self(Out::null())
    }

    /// A field behind the links.
    pub(super) const fn field<U>(self, offset: usize) -> Out<U> {
        self.0.field(offset)
    }

    pub(super) fn parent(self) -> Self {
        self.0.get()
    }

    pub(super) fn set_parent(self, parent: Self) {
        self.0.put(parent);
    }

    fn slot(self, side: Side) -> Out<Self> {
        self.0.skip(if side == Side::Left { 1 } else { 2 })
    }

    pub(super) fn child(self, side: Side) -> Option<Self> {
        self.slot(side).get().non_null()
    }

    pub(super) fn set_child(self, side: Side, child: Option<Self>) {
        self.slot(side).put(child.unwrap_or(Self::none()));
    }

    /// Makes a node a child, in both directions.
    pub(super) fn adopt(self, side: Side, child: Option<Self>) {
        self.set_child(side, child);
        if let Some(child) = child {
            child.set_parent(self);
        }
    }

    /// Which child of its parent it is.
    pub(super) fn side(self) -> Side {
        if self.parent().child(Side::Left) == Some(self) { Side::Left } else { Side::Right }
    }

    /// Whether it is the root of a splay tree, which is its own parent.
    pub(super) fn is_root(self) -> bool {
        self.parent() == self
    }

    /// The last node in this direction.
    pub(super) fn end(self, side: Side, steps: &mut Steps) -> Self {
        let mut node = self;
        while let Some(next) = node.child(side) {
            steps.step();
            node = next;
        }
        node
    }

    /// The next node in sorted order in this direction.
    pub(super) fn neighbour(self, side: Side, steps: &mut Steps) -> Option<Self> {
        if let Some(child) = self.child(side) {
            return Some(child.end(side.other(), steps));
        }
        let mut node = self;
        loop {
            steps.step();
            let parent = node.parent();
            if parent == node {
                return None;
            }
            if parent.child(side.other()) == Some(node) {
                return Some(parent);
            }
            node = parent;
        }
    }

    /// Exchanges it with its parent, and keeps the order. The parent's place may be that of the root.
    pub(super) fn rotate(self) {
        let (parent, side) = (self.parent(), self.side());
        let above = parent.parent();
        if above == parent {
            self.set_parent(self);
        } else {
            above.adopt(parent.side(), Some(self));
        }
        parent.adopt(side, self.child(side.other()));
        self.adopt(side.other(), Some(parent));
    }
}
