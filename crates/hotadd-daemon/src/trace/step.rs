//! [`Step`]: one event of a partition, from an observer of it or from its history, as far as a trace shows it.

use std::time::Duration;

use hotadd::{Event, EventKind, Occasion, Status};
use serde::Deserialize;

/// One event of a partition. A history is another process's output: nothing in it is relied on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Step {
    /// What happened, as in `docs/events.md`; or `calling`, which is in no history.
    pub event: String,
    /// When it ended, in microseconds of the monotonic clock.
    pub mono: u64,
    /// When it happened, in milliseconds since 1970.
    pub time: u64,
    pub(super) driver: Option<String>,
    pub(super) level: i32,
    pub(super) party: u64,
    /// The processor.
    pub id: Option<u32>,
    pub(super) status: Option<String>,
    pub(super) status_name: Option<String>,
    pub(super) errno_name: Option<String>,
    pub(super) reason: Option<String>,
    pub(super) clause: Option<String>,
    pub(super) replay: bool,
    pub(super) rehearsal: bool,
    pub(super) surprise: bool,
    pub(super) agreed: Option<bool>,
    /// The epoch of the active set.
    pub epoch: u64,
    /// How long it took.
    pub us: Option<u64>,
    /// What a driver printed, or left behind.
    pub(super) text: Option<String>,
    /// `calling`: the state of the call.
    pub(super) state: Option<String>,
}

impl Step {
    /// An event that an observer sees at `mono`.
    pub(super) fn of(event: &Event, mono: u64) -> Self {
        let party = event.party.as_ref();
        let calling = event.kind == EventKind::Calling;
        let status = event.status.filter(|_| !calling);
        Self {
            event: event.kind.name().to_owned(),
            mono,
            driver: party.map(|party| party.name.clone()),
            level: party.map_or(0, |party| party.level.0),
            party: party.map_or(0, |party| party.id.0),
            id: event.id.map(|id| id.0),
            status: status.map(|status| format!("0x{:08X}", status.to_raw())),
            status_name: status.and_then(Status::name).map(str::to_owned),
            errno_name: event.errno.and_then(hotadd::Errno::name).map(str::to_owned),
            reason: event.reason.clone(),
            clause: event.clause.map(str::to_owned),
            replay: event.occasion == Occasion::Replay,
            rehearsal: event.occasion == Occasion::Rehearsal,
            surprise: event.surprise,
            agreed: (!event.agreed).then_some(false),
            epoch: event.epoch.0,
            us: event.took.map(micros),
            state: event.state.filter(|_| calling).map(|state| state.name().to_owned()),
            ..Self::default()
        }
    }

    /// A party's call that has not ended.
    #[must_use]
    pub fn waiting(name: String, state: String, id: u32, began: u64) -> Self {
        let (driver, state, id) = (Some(name), Some(state), Some(id));
        Self { event: "calling".to_owned(), mono: began, driver, state, id, ..Self::default() }
    }

    /// What a driver's file printed, or what became of it.
    pub(super) fn said(event: &str, driver: &str, text: &str, mono: u64) -> Self {
        let (driver, text) = (Some(driver.to_owned()), Some(text.to_owned()));
        Self { event: event.to_owned(), driver, text, mono, ..Self::default() }
    }

    /// When it began.
    pub(super) fn began(&self) -> u64 {
        self.mono.saturating_sub(self.us.unwrap_or(0))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
