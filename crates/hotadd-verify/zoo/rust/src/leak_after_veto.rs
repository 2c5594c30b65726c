//! Refuses a processor if there is no memory for its second block, and keeps the first. Ownership does not help: the list owns the block.

use alloc::vec::Vec;

use hotadd_driver::{Driver, Notice, Veto};

use crate::{Block, block};

/// All blocks, with the processors' indexes.
#[derive(Default)]
pub struct LeakAfterVeto(Vec<(usize, Block)>);

impl Driver for LeakAfterVeto {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let index = notice.processor().index.as_usize();
        self.0.try_reserve(2)?;
        self.0.push((index, block()?));
        // The fault: if this fails, the first block must be taken from the list.
        self.0.push((index, block()?));
        Ok(())
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.0.retain(|(index, _)| *index != notice.processor().index.as_usize());
    }
}
