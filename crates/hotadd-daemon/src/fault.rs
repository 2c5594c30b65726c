//! Fault points at which tests kill the daemon. Debug builds have them, releases do not. `HOTADD_FAULT=POINT[:N][@ID]` kills it
//! with SIGKILL when POINT is passed for the N-th time, by processor ID if one is given.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use hotadd::hardware::{Hardware, Monitor, NotAdmitted, Nudge, Survey};
use hotadd::{Event, EventKind, HardwareId, Occasion, Partition, PlatformError, State, Topology};
use rustix::process::{Signal, getpid, kill_process};

const POINTS: [&str; 14] = [
    "appeared",
    "asked",
    "agreed",
    "veto",
    "before-write",
    "after-write",
    "started",
    "completing",
    "completed",
    "failing",
    "failed",
    "joined",
    "refused",
    "decided",
];

const VARIABLE: &str = "HOTADD_FAULT";

static FAULT: OnceLock<Fault> = OnceLock::new();

#[derive(Debug)]
struct Fault {
    point: &'static str,
    of: Option<HardwareId>,
    /// How many passes are left.
    left: AtomicU32,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("HOTADD_FAULT={text} is not POINT[:N][@ID], where POINT is one of {POINTS:?}")
        };
        let (rest, of) = match text.split_once('@') {
            Some((rest, id)) => (rest, Some(HardwareId(id.parse().map_err(|_| wrong())?))),
            None => (text, None),
        };
        let (name, times) = rest.split_once(':').unwrap_or((rest, "1"));
        let point = POINTS.into_iter().find(|point| *point == name).ok_or_else(wrong)?;
        let left = AtomicU32::new(times.parse().map_err(|_| wrong())?);
        Ok(Self { point, of, left })
    }
}

/// Reads the fault point, and observes the partition's events. Must be called before any other observer is added.
pub(super) fn watch(partition: &Partition) -> Result<(), String> {
    let Some(text) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let fault = text.to_string_lossy().parse()?;
    // There is one daemon in a process, so this is set once.
    let _ = FAULT.set(fault);
    partition.observe(see).map_err(|error| error.to_string())?.detach();
    Ok(())
}

fn see(event: &Event) {
    if event.occasion != Occasion::Change {
        return;
    }
    let point = match (event.kind, event.state) {
        (EventKind::Appeared, _) => "appeared",
        (EventKind::Calling, Some(State::AddStart)) => "asked",
        (EventKind::AddStart, _) => "agreed",
        (EventKind::Veto, _) => "veto",
        (EventKind::Started, _) => "started",
        (EventKind::Calling, Some(State::AddComplete)) => "completing",
        (EventKind::AddComplete, _) => "completed",
        (EventKind::Calling, Some(State::AddFailure)) => "failing",
        (EventKind::AddFailure, _) => "failed",
        (EventKind::Joined, _) => "joined",
        (EventKind::Refused, _) => "refused",
        _ => return,
    };
    if let Some(id) = event.id {
        pass(point, id);
    }
}

/// Passes a point.
pub(super) fn pass(point: &str, id: HardwareId) {
    let Some(fault) = FAULT.get() else { return };
    if fault.point == point
        && fault.of.is_none_or(|of| of == id)
        && fault.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let _ = kill_process(getpid(), Signal::KILL);
        // SIGKILL takes effect in a moment. Nothing may happen until then.
        loop {
            std::thread::park();
        }
    }
}

/// The hardware with fault points before and after its write, if a fault is asked for.
pub(super) fn within(hardware: Arc<dyn Hardware>) -> Arc<dyn Hardware> {
    if std::env::var_os(VARIABLE).is_none() { hardware } else { Arc::new(Faulty(hardware)) }
}

#[derive(Debug)]
struct Faulty(Arc<dyn Hardware>);

impl Hardware for Faulty {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        self.0.active()
    }

    fn maximum(&self) -> u32 {
        self.0.maximum()
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        self.0.candidates()
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        self.0.admits(id)
    }

    fn monitor(&self, ids: &[HardwareId]) -> Option<Box<dyn Monitor>> {
        self.0.monitor(ids)
    }

    fn topology(&self, id: HardwareId) -> Topology {
        self.0.topology(id)
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        pass("before-write", id);
        let started = self.0.start(id);
        pass("after-write", id);
        started
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        self.0.stop(id)
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        self.0.survey(expected)
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        Arc::clone(&self.0).watch(nudge);
    }
}
