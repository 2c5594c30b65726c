//! The live allocations of the process as what a driver keeps. There is one test: others would allocate meanwhile.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotadd::{Driver, Notice, Veto};
use hotadd_verify::driver::Verifier;

/// Counts live allocations.
struct Counting;

static LIVE: AtomicU64 = AtomicU64::new(0);

// SAFETY: All calls are passed on to the system's allocator, which keeps the rules.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(1, Ordering::Relaxed);
        // SAFETY: The caller keeps the rules of this same function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: The caller keeps the rules of this same function.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A block for each processor.
#[derive(Default)]
struct Blocks {
    all: Vec<Option<Box<[u8]>>>,
    /// What is never freed.
    kept: Vec<Box<[u8]>>,
    forgets: bool,
}

impl Driver for Blocks {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let at = notice.processor().index.as_usize();
        if self.all.len() <= at {
            self.all.resize_with(at + 1, || None);
        }
        self.all[at] = Some(vec![0; 64].into());
        Ok(())
    }

    fn add_failure(&mut self, notice: &Notice) {
        let block = self.all[notice.processor().index.as_usize()].take();
        self.kept.extend(block.filter(|_| self.forgets));
    }
}

#[test]
fn live_allocations_of_the_process_can_be_what_a_driver_keeps() {
    let verifier = Verifier::new().outstanding(|| LIVE.load(Ordering::Relaxed));
    let verifier = verifier.time_limit(Duration::from_secs(60));
    verifier.verify_driver(Blocks::default).unwrap().assert_clean();
    let forgets = || Blocks { forgets: true, ..Blocks::default() };
    let report = verifier.verify_driver(forgets).unwrap();
    assert!(!report.findings.is_empty());
    for finding in &report.findings {
        assert_eq!(finding.check.id, "leak-after-failure", "{finding:#?}");
    }
}
