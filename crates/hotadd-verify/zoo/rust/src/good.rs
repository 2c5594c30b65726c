//! A driver without a fault.

use alloc::vec::Vec;

use hotadd_driver::{Driver, Notice, Veto};

use crate::{Block, block};

/// Blocks by index, empty where there is none.
#[derive(Default)]
pub struct Good(Vec<Block>);

impl Driver for Good {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let index = notice.processor().index.as_usize();
        if self.0.len() <= index {
            self.0.try_reserve(index + 1 - self.0.len())?;
            self.0.resize_with(index + 1, Vec::new);
        }
        self.0[index] = block()?;
        Ok(())
    }

    fn add_failure(&mut self, notice: &Notice) {
        // There may be no entry: some systems announce the failure also to the driver that refused the processor.
        if let Some(block) = self.0.get_mut(notice.processor().index.as_usize()) {
            *block = Vec::new();
        }
    }
}
