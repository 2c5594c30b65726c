//! Splay trees: a node that is used becomes the root. The functions for links of the driver's own, and the tree of
//! `RTL_GENERIC_TABLE`.

use super::links::{Node, Side, Steps};
use super::shape::Shape;
use crate::ground::declare::nt;
use crate::ground::foreign::Out;
use crate::ground::list::Links;

nt! {
    /// Makes a node the root of its tree. Returns it.
    fn RtlSplay(links: Out<Node>) -> Out<Node> { pointer(Some(splay(Node::at(links)))) }

    /// Removes a node from its tree. Returns the new root, or NULL.
    fn RtlDelete(links: Out<Node>) -> Out<Node> { pointer(delete(Node::at(links))) }

    /// Removes a node from its tree, and stores the new root.
    fn RtlDeleteNoSplay(links: Out<Node>, root: Out<Out<Node>>) { root.put(pointer(delete(Node::at(links)))) }

    /// The next node in the subtree of a node, or NULL.
    fn RtlSubtreeSuccessor(links: Out<Node>) -> Out<Node> { pointer(below(links, Side::Right)) }

    /// The previous node in the subtree of a node, or NULL.
    fn RtlSubtreePredecessor(links: Out<Node>) -> Out<Node> { pointer(below(links, Side::Left)) }

    /// The next node in the tree, or NULL.
    fn RtlRealSuccessor(links: Out<Node>) -> Out<Node> { pointer(beside(links, Side::Right)) }

    /// The previous node in the tree, or NULL.
    fn RtlRealPredecessor(links: Out<Node>) -> Out<Node> { pointer(beside(links, Side::Left)) }
}

fn pointer(node: Option<Node>) -> Out<Node> {
    node.unwrap_or(Node::none()).field(0)
}

fn below(links: Out<Node>, side: Side) -> Option<Node> {
    let child = Node::at(links).child(side)?;
    Some(child.end(side.other(), &mut Steps::many()))
}

fn beside(links: Out<Node>, side: Side) -> Option<Node> {
    Node::at(links).neighbour(side, &mut Steps::many())
}

/// Makes a node the root of its tree.
fn splay(node: Node) -> Node {
    let mut steps = Steps::many();
    while !node.is_root() {
        steps.step();
        let parent = node.parent();
        if !parent.is_root() {
            if node.side() == parent.side() { parent.rotate() } else { node.rotate() }
        }
        node.rotate();
    }
    node
}

/// Removes a node. Returns the new root.
fn delete(node: Node) -> Option<Node> {
    splay(node);
    let (left, right) = (node.child(Side::Left), node.child(Side::Right));
    for child in [left, right].into_iter().flatten() {
        child.set_parent(child);
    }
    let Some(left) = left else { return right };
    let root = splay(left.end(Side::Right, &mut Steps::many()));
    root.adopt(Side::Right, right);
    Some(root)
}

/// `RTL_GENERIC_TABLE`, a splay tree.
pub(super) struct Splay;

/// Offsets in the table.
const ROOT: usize = 0;
const LIST: usize = 8;
/// The offset of the list's entry in an element.
const ENTRY: usize = 24;

const _: () = assert!(ENTRY + 16 == Splay::HEADER);

fn root(table: Out<u8>) -> Out<Node> {
    table.field(ROOT)
}

/// The elements in the order of insertion.
fn list(table: Out<u8>) -> Links {
    Links::at(table.field(LIST))
}

fn entry(node: Node) -> Links {
    Links::at(node.field(ENTRY))
}

/// The node of an entry of that list.
fn node_of(entry: Links) -> Node {
    Node::at(entry.object(ENTRY))
}

impl Shape for Splay {
    const HEADER: usize = 40;
    const SIZE: usize = 0x48;
    const ORDERED: usize = 0x18;
    const COUNT: usize = 0x24;
    const COMPARE: usize = 0x28;

    fn initialize(table: Out<u8>) {
        list(table).initialize();
    }

    fn root(table: Out<u8>) -> Option<Node> {
        root(table).get().non_null()
    }

    fn height(_: Out<u8>) -> Steps {
        Steps::many()
    }

    fn link(table: Out<u8>, node: Node, at: Option<(Node, Side)>) {
        list(table).insert_before(entry(node));
        match at {
            None => node.set_parent(node),
            Some((parent, side)) => parent.adopt(side, Some(node)),
        }
        Self::used(table, node);
    }

    fn unlink(table: Out<u8>, node: Node) {
        entry(node).remove();
        root(table).put(delete(node).unwrap_or(Node::none()));
    }

    fn used(table: Out<u8>, node: Node) {
        root(table).put(splay(node));
    }

    /// In the order of insertion.
    fn first(table: Out<u8>) -> Option<Node> {
        let list = list(table);
        (!list.is_empty()).then(|| node_of(list.next()))
    }

    fn next(table: Out<u8>, node: Node) -> Option<Node> {
        let next = entry(node).next();
        (next != list(table)).then(|| node_of(next))
    }
}
