//! [`Endless`]: hardware with every processor that there is a number for, of which none starts.

use std::sync::{Arc, Mutex};

use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Survey};
use hotadd::{Errno, HardwareId, MAX_PROCESSORS, PlatformError, Status};

/// The odd ones are not admitted.
#[derive(Debug, Default)]
pub struct Endless {
    /// What could be added it does not say as long as somebody holds this.
    pub busy: Mutex<()>,
}

impl Hardware for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }
    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(vec![HardwareId(0)])
    }
    fn maximum(&self) -> u32 {
        MAX_PROCESSORS
    }
    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        drop(self.busy.lock().unwrap());
        Ok(vec![HardwareId(2)])
    }
    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let (status, reason) = (Status::ACCESS_DENIED, "not this one".to_owned());
        if id.0.is_multiple_of(2) { Ok(()) } else { Err(NotAdmitted { status, reason }) }
    }
    fn start(&self, _: HardwareId) -> Result<(), PlatformError> {
        Err(Errno::EIO.into())
    }
    fn stop(&self, _: HardwareId) -> Result<(), PlatformError> {
        Ok(())
    }
    fn survey(&self, _: &[HardwareId]) -> Survey {
        Survey::default()
    }
    fn watch(self: Arc<Self>, _: Nudge) {}
}
