//! Accepts processors only of the groups that had processors when it was loaded.

use hotadd_driver::{Driver, Notice, Status, Veto};

/// The number of groups, and whether the existing processors have been announced.
#[derive(Default)]
pub struct RefusesNewGroup {
    groups: u16,
    loaded: bool,
}

impl Driver for RefusesNewGroup {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        let group = notice.processor().number().group;
        if !self.loaded {
            self.groups = self.groups.max(group + 1);
        }
        // The fault: a group may get its first processor later.
        if group < self.groups {
            Ok(())
        } else {
            Err(Veto::new(Status::NOT_SUPPORTED, "a new group"))
        }
    }

    fn add_complete(&mut self, _: &Notice) {
        // The first is that of an existing processor: all of them are announced before (R3).
        self.loaded = true;
    }
}
