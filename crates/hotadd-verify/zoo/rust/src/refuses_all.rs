//! Refuses every processor that is added after it was loaded.

use hotadd_driver::{Driver, Notice, Status, Veto};

/// Whether the existing processors have been announced.
#[derive(Default)]
pub struct RefusesAll(bool);

impl Driver for RefusesAll {
    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        // The fault: this is so for every processor.
        if self.0 {
            Err(Veto::new(Status::NOT_SUPPORTED, "no processor can be added"))
        } else {
            Ok(())
        }
    }

    fn add_complete(&mut self, _: &Notice) {
        // The first is that of an existing processor: all of them are announced before (R3).
        self.0 = true;
    }
}
