//! [`Governed`]: the processors that the daemon is told to govern, and how one that was plugged in anew is told from the one before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use hotadd::HardwareId;
use hotadd::hardware::{Hardware, Hotplug, HotplugOptions, Intruders, Simulated};
use rustix::process::geteuid;

use super::config::{HardwareKeys, Kind, Policy};

/// The processors, as what they are.
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
            return Err("switching this machine's processors takes root; \
                        with hardware.kind = \"simulated\" all else can be tried without"
                .to_owned());
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

    /// Does from now on as these keys say.
    pub(super) fn govern_as(&self, keys: &HardwareKeys) {
        if let Self::Hotplug(hotplug) = self {
            hotplug.set_intruders(intruders(keys));
        }
    }

    /// A number that this processor has had since it was plugged in, and that another one in its place will not have; `None` if it is
    /// not there.
    pub(super) fn plugging(&self, id: HardwareId) -> Option<u64> {
        match self {
            // The kernel makes its folder when it is plugged in, and counts the folders.
            Self::Hotplug(_) => {
                let folder = fs::symlink_metadata(format!("/sys/devices/system/cpu/cpu{id}"));
                folder.ok().map(|folder| folder.ino())
            }
            // They come and go with this process.
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
