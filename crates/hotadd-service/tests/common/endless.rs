//! [`Endless`]: hardware with every possible processor, none of which starts.

use std::sync::{Arc, Mutex};

use hotadd::hardware::{Hardware, NotAdmitted, Nudge, Survey};
use hotadd::{Errno, HardwareId, MAX_PROCESSORS, PlatformError, Status};

/// Processors with odd ids are not admitted.
#[derive(Debug, Default)]
pub struct Endless {
    /// While this is held, listing the candidates blocks.
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
        if id.0.is_multiple_of(2) { Ok(()) } else { Err(NotAdmitted::new(status, reason)) }
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
