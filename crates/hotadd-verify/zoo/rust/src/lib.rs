//! Drivers with one fault each, and one without.
#![no_std]

extern crate alloc;

pub mod bugcheck;
pub mod exhaustion_unhandled;
pub mod good;
pub mod leak_after_failure;
pub mod leak_after_veto;
pub mod refuses_all;
pub mod refuses_new_group;

use alloc::vec::Vec;

use hotadd_driver::Veto;

/// A processor's block.
pub type Block = Vec<u8>;

/// Allocates a block, or refuses the processor.
///
/// # Errors
/// There is no memory.
pub fn block() -> Result<Block, Veto> {
    let mut block = Vec::new();
    block.try_reserve_exact(4096)?;
    Ok(block)
}
