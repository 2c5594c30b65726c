//! [`Shape`]: what the two kinds of generic tables have in common, and where their fields are.

use super::links::{Node, Side, Steps};
use crate::ground::foreign::Out;

/// A kind of table. A table and its elements are memory of the driver.
pub(super) trait Shape {
    /// The bytes of an element in front of the driver's data.
    const HEADER: usize;
    /// The size of the table.
    const SIZE: usize;
    /// The offset of `OrderedPointer`. The number of that element follows it, counted from 1.
    const ORDERED: usize;
    /// The offset of the number of elements.
    const COUNT: usize;
    /// The offset of the routine that compares. Those that allocate and free follow it, and the context.
    const COMPARE: usize;

    /// Sets the fields of an empty table that are not zero.
    fn initialize(table: Out<u8>);

    fn root(table: Out<u8>) -> Option<Node>;

    /// The most steps from the root to an element.
    fn height(table: Out<u8>) -> Steps;

    /// Inserts a node on a side of another one, or as the root.
    fn link(table: Out<u8>, node: Node, at: Option<(Node, Side)>);

    /// Removes a node.
    fn unlink(table: Out<u8>, node: Node);

    /// A node was found.
    fn used(table: Out<u8>, node: Node);

    /// The first element, in the order of the elements' numbers.
    fn first(table: Out<u8>) -> Option<Node>;

    /// The next element in that order.
    fn next(table: Out<u8>, node: Node) -> Option<Node>;
}
