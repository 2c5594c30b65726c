//! [`Cause`]: which party refused, and why, for the parties that are told of the failure.
//!
//! A notice of a failure carries a status. The name and the reason of the party that refused are in the events of the partition,
//! which come before that notice and on the same thread.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hotadd::{Event, EventKind, Notice, State, Status};

/// The latest refusal or failure of the transaction in progress.
#[derive(Debug, Default)]
pub(crate) struct Cause(Mutex<Option<Refusal>>);

/// A refusal by a party, or a failure of the platform.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: Status,
    /// `None` for the platform.
    pub(crate) party: Option<String>,
    pub(crate) reason: String,
}

impl Cause {
    fn lock(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event of the partition.
    pub(crate) fn observe(&self, event: &Event) {
        let refused = match event.kind {
            // A party is asked, so the transaction has not failed yet.
            EventKind::Calling if event.state.is_some_and(State::may_veto) => None,
            EventKind::Veto
            | EventKind::RemoveVeto
            | EventKind::StartFailed
            | EventKind::StopFailed => event.status.map(|status| Refusal {
                status,
                party: event.party.as_ref().map(|party| party.name.clone()),
                reason: event.reason.clone().unwrap_or_else(|| {
                    let errno = event.errno.map(|errno| errno.to_string());
                    errno.unwrap_or_else(|| sentence(status).to_owned())
                }),
            }),
            _ => return,
        };
        *self.lock() = refused;
    }

    /// The cause of a failure. Only the status is known of a failure in another process, and of a rehearsal.
    pub(crate) fn of(&self, notice: &Notice) -> Option<Refusal> {
        if !matches!(notice.state(), State::AddFailure | State::RemoveFailure) {
            return None;
        }
        let status = notice.status();
        let known = self.lock().clone().filter(|refusal| refusal.status == status);
        Some(known.unwrap_or_else(|| {
            let errno = notice.errno().map(|errno| errno.to_string());
            let reason = errno.unwrap_or_else(|| sentence(status).to_owned());
            Refusal { status, party: None, reason }
        }))
    }
}

/// The meaning of a status.
pub(crate) fn sentence(status: Status) -> &'static str {
    status.sentence().unwrap_or("no reason was given")
}
