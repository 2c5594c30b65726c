//! Has an array of 64 blocks. On a larger machine an index lies outside: Rust panics, which stops the system.

use alloc::vec::Vec;

use hotadd_driver::{Driver, Notice, Veto};

use crate::{Block, block};

/// Blocks by index, empty where there is none.
pub struct Bugcheck([Block; 64]);

impl Default for Bugcheck {
    fn default() -> Self {
        Self([const { Vec::new() }; 64])
    }
}

impl Driver for Bugcheck {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        // The fault: the index may be 64 or more.
        self.0[notice.processor().index.as_usize()] = block()?;
        Ok(())
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.0[notice.processor().index.as_usize()] = Vec::new();
    }
}
