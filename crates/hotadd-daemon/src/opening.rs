//! Opening: once the configured parties have registered, other parties may connect. Once all previously registered parties are
//! back, processors are added.

use std::sync::Arc;
use std::time::Instant;

use hotadd::{CpuList, HardwareId};

use super::config::AtStart;
use super::manager::Manager;
use super::plug;
use crate::degraded;
use crate::view::Weight;

impl Manager {
    /// All configured parties have registered: opens the daemon to other parties, and to processors.
    pub(super) fn open(&mut self) -> Result<(), String> {
        let found = self.be_found()?;
        let active: CpuList = self.partition.active().iter().map(|p| p.id).collect();
        let kind = self.partition.hardware();
        let off = self.partition.candidates().map(|off| off.into_iter().collect::<CpuList>());
        let off = match off {
            Ok(off) if off.is_empty() => "none".to_owned(),
            Ok(off) => off.to_string(),
            Err(why) => format!("unknown: {why}"),
        };
        let pretended = if self.governed.simulated().is_some() { " (not real)" } else { "" };
        let begins =
            format!("{kind} processors{pretended}: {active} are active, off: {off}; {found}");
        self.log.line(Weight::Plain, &begins);
        // The daemon that holds the socket also owns the file beside it.
        self.state_file.open(&self.config.socket());
        self.say(&format!("READY=1\n{}", self.status()));
        let missing = self.state_file.missing();
        if missing.is_empty() {
            self.begin_adding();
        } else {
            let within = self.config.limits.rejoin();
            self.rejoin = Some(Instant::now() + within);
            let (who, within) = (some_of(&missing), humantime::format_duration(within));
            let waits = format!(
                "waiting up to {within} for {who}, which had registered before; nothing is added until then"
            );
            self.log.line(Weight::Plain, &waits);
        }
        // Plugged in after the processors that are there.
        if let (Some(hardware), Some(plug)) =
            (self.governed.simulated(), &self.config.hardware.plug)
        {
            let (ids, every) = (plug.get_ref().0.clone(), self.config.hardware.plug_every());
            let plugging = plug::begin(Arc::clone(hardware), ids, every);
            self.plugging = Some(plugging.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// Begins adding once all parties that were registered before are registered again, or their time is up.
    pub(super) fn look_who_is_back(&mut self, time_is_up: bool) {
        if self.rejoin.is_none() {
            return;
        }
        let missing = self.state_file.missing();
        if !missing.is_empty() {
            if !time_is_up {
                return;
            }
            let who = some_of(&missing);
            let says = format!("{who} did not register again and is no longer waited for (L3)");
            self.log.line(Weight::Bad, &says);
        }
        self.rejoin = None;
        self.state_file.forget_missing();
        self.begin_adding();
    }

    /// Adds what has appeared since the start and other processors that are off and to be added. From now on, adds each as it
    /// appears.
    pub(super) fn begin_adding(&self) {
        let came = |id: &HardwareId| !self.off.contains(&(*id, self.governed.plugging(*id)));
        let mut off = self.partition.candidates().unwrap_or_else(|why| {
            let says = "no processor is added now; use `hotadd add` later";
            self.log.line(
                Weight::Bad,
                &format!(
                    "the processors that are off cannot be determined: {why}; \
                 {says}"
                ),
            );
            Vec::new()
        });
        off.retain(|id| match self.config.hardware.at_start {
            AtStart::Add => true,
            AtStart::Undecided => !self.state_file.is_decided(*id),
            AtStart::Leave => came(id) && !self.state_file.is_decided(*id),
        });
        self.adder.add(off);
        self.adder.begin();
    }

    /// The status text for the service manager.
    pub(super) fn status(&self) -> String {
        let active: CpuList = self.partition.active().iter().map(|p| p.id).collect();
        let parties = self.view.drivers.iter().filter(|driver| driver.registered).count();
        let mut status = format!("STATUS=processors {active} are active; parties: {parties}");
        // A partition in this process always knows which parties are missing.
        let missing = self.partition.missing().unwrap_or_default();
        for missing in missing.iter().take(MOST_MISSING) {
            status = format!("{status}; {}", degraded::line(missing));
        }
        if missing.len() > MOST_MISSING {
            status = format!("{status}; and {} more are missing", missing.len() - MOST_MISSING);
        }
        status
    }
}

/// How many missing parties the status text names.
const MOST_MISSING: usize = 3;

/// `pool, fragile and 3 more`
fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
