//! Generic tables (`Rtl...GenericTable...`): sets of elements in an order that the driver defines. Both kinds are here,
//! splay trees and balanced (AVL) trees. The driver's routines compare, allocate and free.
//!
//! The elements are the driver's memory. A tree that is damaged is a fault of the driver, and no walk is endless.

mod avl;
mod links;
mod shape;
mod splay;
mod table;

use crate::ground::export::Export;

/// The exports of this folder.
pub(super) static EXPORTS: [&[Export]; 3] = [splay::EXPORTS, table::EXPORTS, table::avl::EXPORTS];
