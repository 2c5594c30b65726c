//! Has no `add_failure`. The block of a processor that did not join stays on the list until the driver is unloaded, and each failed attempt
//! adds one.

use alloc::vec::Vec;

use hotadd_driver::{Driver, Notice, Veto};

use crate::{Block, block};

/// All blocks.
#[derive(Default)]
pub struct LeakAfterFailure(Vec<Block>);

impl Driver for LeakAfterFailure {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        self.0.try_reserve(1)?;
        self.0.push(block()?);
        Ok(())
    }

    // The fault: `add_failure` must take the block from the list.
}
