//! A driver that keeps a block of memory for each processor.
#![no_std]

extern crate alloc;

use alloc::vec::Vec;

use hotadd_driver::{Driver, Notice, Veto, println, windows_driver};

/// Bytes for each processor.
const BLOCK: usize = 4096;

/// The blocks, by processor; empty where there is none.
#[derive(Default)]
struct PerCpu(Vec<Vec<u8>>);

impl Driver for PerCpu {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let index = notice.processor().index.as_usize();
        println!("percpu: processor {index} is coming");
        let mut block = Vec::new();
        block.try_reserve_exact(BLOCK)?; // no memory, no processor
        if self.0.len() <= index {
            self.0.try_reserve(index + 1 - self.0.len())?;
            self.0.resize_with(index + 1, Vec::new);
        }
        self.0[index] = block;
        Ok(())
    }

    fn add_complete(&mut self, notice: &Notice) {
        println!("percpu: processor {} is here", notice.processor().index);
    }

    fn add_failure(&mut self, notice: &Notice) {
        println!("percpu: processor {} did not come: {}", notice.processor().index, notice.status());
        if let Some(block) = self.0.get_mut(notice.processor().index.as_usize()) {
            *block = Vec::new();
        }
    }
}

impl Drop for PerCpu {
    fn drop(&mut self) {
        let blocks = self.0.iter().filter(|block| block.capacity() > 0).count();
        println!("percpu: unloading with {blocks} blocks");
    }
}

windows_driver!(|| Ok(PerCpu::default()), *b"PcpR");
