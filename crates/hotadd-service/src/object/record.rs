//! [`Record`]: an event as JSON, as `hotadd run --events` and GetHistory write it. The schema is documented in
//! `docs/events.md`.

use std::time::Duration;

use hotadd::{Errno, Event, EventKind, Level, Occasion, PartyInfo, Processor, Status};
use serde::Serialize;

/// One line of events. Fields that do not apply are left out.
#[derive(Debug, Default, Serialize)]
pub struct Record {
    /// What happened.
    pub event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) driver: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rehearsal: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surprise: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agreed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    us: Option<u64>,
    /// In a history: the time of the event, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
    /// In a history: the same, or when the call ended, in microseconds of the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mono: Option<u64>,
    /// In a history: its position among all events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seq: Option<u64>,
    /// In a history: the party's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) party: Option<u64>,
    /// `said`: what a driver printed; `unloaded`: what it left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// `partition`: the kind of hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<&'static str>,
    /// `partition`: the processors active at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// `partition`: the processors that will be added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add: Option<String>,
    /// The kernel's `Cpus_allowed_list` of the command's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus_allowed_list: Option<String>,
    /// `exit`: the exit status of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// `exit`: the signal that killed the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Record {
    /// An event of the run itself: `partition` or `exit`.
    #[must_use]
    pub fn of_run(event: &'static str, epoch: u64) -> Self {
        Self { event, epoch: Some(epoch), ..Self::default() }
    }

    /// Shortens the reason to the length that can be sent, so that one party's reason does not displace all
    /// other events.
    pub(crate) fn shorten(&mut self, most: usize) {
        self.reason = self.reason.take().map(|reason| hotadd_wire::text(&reason, most));
    }

    pub(crate) fn set_status(&mut self, status: Status) {
        self.status = Some(format!("0x{:08X}", status.to_raw()));
        self.status_name = status.name();
    }

    /// The record of a partition's event; `None` for an event that only announces a call.
    #[must_use]
    pub fn of(event: &Event) -> Option<Self> {
        if event.kind == EventKind::Calling {
            return None;
        }
        let yes = |condition: bool| condition.then_some(true);
        Some(Self {
            event: event.kind.name(),
            driver: event.party.as_ref().map(|p: &PartyInfo| p.name.clone()),
            level: event.party.as_ref().map(|p| p.level).map(|Level(level)| level),
            id: event.id.map(|id| id.0),
            index: event.processor.map(|p: Processor| p.index.get()),
            group: event.processor.map(|p| p.number().group),
            number: event.processor.map(|p| p.number().number),
            status: event.status.map(|s: Status| format!("0x{:08X}", s.to_raw())),
            status_name: event.status.and_then(Status::name),
            errno: event.errno.map(Errno::to_raw),
            errno_name: event.errno.and_then(Errno::name),
            reason: event.reason.clone(),
            clause: event.clause,
            replay: yes(event.occasion == Occasion::Replay),
            rehearsal: yes(event.occasion == Occasion::Rehearsal),
            surprise: yes(event.surprise),
            agreed: (!event.agreed).then_some(false),
            epoch: Some(event.epoch.0),
            us: event.took.map(micros),
            ..Self::default()
        })
    }

    /// Whether the set of processors that the command may run on may have changed with this event, or a
    /// change of it was refused.
    #[must_use]
    pub fn concludes(event: &Event) -> bool {
        use EventKind::{Joined, Left, Refused, RemoveRefused};
        matches!(event.kind, Joined | Left | Refused | RemoveRefused)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
