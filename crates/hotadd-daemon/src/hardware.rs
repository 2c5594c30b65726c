//! [`Governed`]: the processors that the daemon governs, and how a newly plugged-in processor is told from the previous one.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use hotadd::HardwareId;
use hotadd::hardware::{Hardware, Hotplug, HotplugOptions, Intruders, Simulated};
use rustix::process::geteuid;

use super::config::{HardwareKeys, Kind, Policy};

/// The hardware, by its kind.
#[derive(Clone)]
pub(super) enum Governed {
    Hotplug(Arc<Hotplug>),
    Simulated(Arc<Simulated>),
}

impl Governed {
    pub(super) fn new(keys: &HardwareKeys) -> Result<Self, String> {
        if keys.kind == Kind::Simulated {
            let simulated = keys.simulation();
            let wrong = |(_, key, what)| format!("hardware.{key}: {what}");
            return simulated.map(Self::Simulated).map_err(wrong);
        }
        if !geteuid().is_root() {
            return Err(
                "starting and stopping this machine's processors needs root; hardware.kind = \
             \"simulated\" needs no privileges"
                    .to_owned(),
            );
        }
        let options = HotplugOptions::new().intruders(intruders(keys));
        let hotplug = Hotplug::new(options).map_err(|error| error.to_string())?;
        Ok(Self::Hotplug(Arc::new(hotplug)))
    }

    pub(super) fn hardware(&self) -> Arc<dyn Hardware> {
        match self {
            Self::Hotplug(hotplug) => Arc::clone(hotplug) as _,
            Self::Simulated(simulated) => Arc::clone(simulated) as _,
        }
    }

    pub(super) fn simulated(&self) -> Option<&Arc<Simulated>> {
        match self {
            Self::Hotplug(_) => None,
            Self::Simulated(simulated) => Some(simulated),
        }
    }

    /// Applies these keys from now on.
    pub(super) fn govern_as(&self, keys: &HardwareKeys) {
        if let Self::Hotplug(hotplug) = self {
            hotplug.set_intruders(intruders(keys));
        }
    }

    /// A number that identifies this plugging-in of the processor: a later processor in its place has another number. `None` if
    /// no processor is there.
    pub(super) fn plugging(&self, id: HardwareId) -> Option<u64> {
        match self {
            // The kernel creates the processor's folder when it is plugged in, and numbers the folders.
            Self::Hotplug(_) => {
                let folder = fs::symlink_metadata(format!("/sys/devices/system/cpu/cpu{id}"));
                folder.ok().map(|folder| folder.ino())
            }
            // Simulated processors exist as long as this process.
            Self::Simulated(_) => Some(0),
        }
    }
}

fn intruders(keys: &HardwareKeys) -> Intruders {
    match keys.policy.as_ref().map(|policy| *policy.get_ref()) {
        Some(Policy::Revoke) => Intruders::Revoke,
        Some(Policy::Report) | None => Intruders::Report,
    }
}
