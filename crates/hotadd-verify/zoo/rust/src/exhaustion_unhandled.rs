//! Allocates as most Rust programs do, without a way to fail. When there is no memory, Rust's library panics, which stops the system.

use alloc::collections::BTreeMap;
use alloc::vec;

use hotadd_driver::{Driver, Notice, Veto};

use crate::Block;

/// Blocks by index.
#[derive(Default)]
pub struct ExhaustionUnhandled(BTreeMap<usize, Block>);

impl Driver for ExhaustionUnhandled {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        // The fault: `try_reserve`, and a veto if it fails.
        self.0.insert(notice.processor().index.as_usize(), vec![0; 4096]);
        Ok(())
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.0.remove(&notice.processor().index.as_usize());
    }
}
