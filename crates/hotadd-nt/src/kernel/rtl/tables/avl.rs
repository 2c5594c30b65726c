//! The tree of `RTL_AVL_TABLE`: the heights of the two subtrees of a node differ by at most one.
//!
//! The table begins with a node that is not an element. Its right child is the root, and it is its own parent.

use super::links::{Node, Side, Steps, damaged};
use super::shape::Shape;
use crate::ground::foreign::Out;

/// `RTL_AVL_TABLE`.
pub(super) struct Avl;

/// Offsets in the table.
const DEPTH: usize = 0x30;
const RESTART: usize = 0x38;
const DELETED: usize = 0x40;
/// The offset of a node's balance: the height of its right subtree less that of its left one.
const BALANCE: usize = 24;
/// No tree of 2^32 elements is higher.
const HIGHEST: u32 = 64;

fn top(table: Out<u8>) -> Node {
    Node::at(table.field(0))
}

/// The current element of `RtlEnumerateGenericTableAvl`.
pub(super) fn restart(table: Out<u8>) -> Out<Node> {
    table.field(RESTART)
}

/// The number of elements that were deleted so far.
pub(super) fn deleted(table: Out<u8>) -> Out<u32> {
    table.field(DELETED)
}

fn balance(node: Node) -> i8 {
    node.field::<i8>(BALANCE).get()
}

fn set_balance(node: Node, balance: i8) {
    node.field(BALANCE).put(balance);
}

/// What a higher subtree on this side adds to the balance.
const fn weight(side: Side) -> i8 {
    match side {
        Side::Left => -1,
        Side::Right => 1,
    }
}

impl Shape for Avl {
    const HEADER: usize = 32;
    const SIZE: usize = 0x68;
    const ORDERED: usize = 0x20;
    const COUNT: usize = 0x2c;
    const COMPARE: usize = 0x48;

    fn initialize(table: Out<u8>) {
        top(table).set_parent(top(table));
    }

    fn root(table: Out<u8>) -> Option<Node> {
        top(table).child(Side::Right)
    }

    fn height(_: Out<u8>) -> Steps {
        Steps::of(HIGHEST)
    }

    fn link(table: Out<u8>, node: Node, at: Option<(Node, Side)>) {
        let top = top(table);
        set_balance(node, 0);
        let (parent, side) = at.unwrap_or((top, Side::Right));
        parent.adopt(side, Some(node));
        grown(table, node);
    }

    fn unlink(table: Out<u8>, node: Node) {
        if restart(table).get() == node {
            let before = Self::previous(table, node);
            restart(table).put(before.unwrap_or(Node::none()));
        }
        deleted(table).put(deleted(table).get().wrapping_add(1));
        let (from, side) = take_out(node);
        shrunk(table, from, side);
    }

    fn used(_: Out<u8>, _: Node) {}

    /// In sorted order.
    fn first(table: Out<u8>) -> Option<Node> {
        Self::root(table).map(|root| root.end(Side::Left, &mut Self::height(table)))
    }

    fn next(table: Out<u8>, node: Node) -> Option<Node> {
        node.neighbour(Side::Right, &mut Self::height(table))
    }
}

impl Avl {
    fn previous(table: Out<u8>, node: Node) -> Option<Node> {
        let before = node.neighbour(Side::Left, &mut Self::height(table));
        before.filter(|node| *node != top(table))
    }
}

fn change_depth(table: Out<u8>, by: i32) {
    let depth: Out<u32> = table.field(DEPTH);
    depth.put(depth.get().wrapping_add_signed(by));
}

/// Restores the balance above a subtree that is now higher by one.
fn grown(table: Out<u8>, node: Node) {
    let (top, mut steps, mut child) = (top(table), Avl::height(table), node);
    loop {
        steps.step();
        let parent = child.parent();
        if parent == top {
            return change_depth(table, 1);
        }
        match balance(parent).saturating_add(weight(child.side())) {
            0 => return set_balance(parent, 0),
            new @ (-1 | 1) => set_balance(parent, new),
            -2 | 2 => {
                level(parent, child.side());
                return;
            }
            _ => damaged(),
        }
        child = parent;
    }
}

/// Restores the balance above a subtree on this side of a node, which is now lower by one.
fn shrunk(table: Out<u8>, from: Node, side: Side) {
    let (top, mut steps, mut node, mut side) = (top(table), Avl::height(table), from, side);
    while node != top {
        steps.step();
        // It may be rotated downwards.
        let (above, next_side) = (node.parent(), node.side());
        match balance(node).saturating_sub(weight(side)) {
            new @ (-1 | 1) => return set_balance(node, new),
            0 => set_balance(node, 0),
            -2 | 2 => {
                if !level(node, side.other()) {
                    return;
                }
            }
            _ => damaged(),
        }
        (node, side) = (above, next_side);
    }
    change_depth(table, -1);
}

/// Rotates a node whose subtree on this side is higher by two. Returns whether the whole is lower than before.
fn level(node: Node, side: Side) -> bool {
    let Some(child) = node.child(side) else { damaged() };
    let weight = weight(side);
    if balance(child) == -weight {
        let Some(middle) = child.child(side.other()) else { damaged() };
        let was = balance(middle);
        middle.rotate();
        middle.rotate();
        set_balance(node, if was == weight { -weight } else { 0 });
        set_balance(child, if was == -weight { weight } else { 0 });
        set_balance(middle, 0);
        return true;
    }
    let lower = balance(child) == weight;
    child.rotate();
    set_balance(node, if lower { 0 } else { weight });
    set_balance(child, if lower { 0 } else { -weight });
    lower
}

/// Puts another node, or none, into the place of a node.
fn replace(node: Node, with: Option<Node>) {
    node.parent().adopt(node.side(), with);
}

/// Takes a node out of the tree. Returns the node and the side of it on which the tree is now lower.
fn take_out(node: Node) -> (Node, Side) {
    let (left, right) = (node.child(Side::Left), node.child(Side::Right));
    let (Some(left), Some(right)) = (left, right) else {
        let place = (node.parent(), node.side());
        replace(node, left.or(right));
        return place;
    };
    let next = right.end(Side::Left, &mut Steps::of(HIGHEST));
    let place = if next == right {
        (next, Side::Right)
    } else {
        let above = next.parent();
        replace(next, next.child(Side::Right));
        next.adopt(Side::Right, Some(right));
        (above, Side::Left)
    };
    next.adopt(Side::Left, Some(left));
    set_balance(next, balance(node));
    replace(node, Some(next));
    place
}
