//! GetMissing and RestartParty: list the required parties that are missing, and restart one (L4).

use std::time::UNIX_EPOCH;

use hotadd::{Missing, Status};
use hotadd_wire::{MissingRow, Room};

use crate::object::reply::Refusal;
use crate::parties::restart::{NotRestarted, Restart};
use crate::text::presentable;

/// The size of a row in a message besides its texts: numbers, lengths and alignment.
const ROW_BYTES: usize = 48;

/// Converts missing parties to rows, as many as fit into one message.
pub(crate) fn rows(missing: Vec<Missing>) -> Vec<MissingRow> {
    let mut room = Room::default();
    let rows = missing.into_iter().map(row);
    let fits =
        |(name, _, _, reason): &MissingRow| room.takes(ROW_BYTES + name.len() + reason.len());
    rows.take_while(fits).collect()
}

fn row(missing: Missing) -> MissingRow {
    let since = missing.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    (missing.party.name, since, missing.status.to_raw(), presentable(&missing.reason))
}

/// Restarts a party.
pub(crate) fn restart(restart: Option<&Restart>, name: &str) -> Result<(), Refusal> {
    let done = restart.map_or(Err(NotRestarted::Unknown), |restart| restart(name));
    let party = presentable(name);
    match done {
        Ok(()) => Ok(()),
        Err(NotRestarted::Failed(why)) => {
            let message = presentable(&format!("{party} is not registered: {}", why.reason));
            Err(Refusal::NotStarted { party, status: why.status, message })
        }
        Err(NotRestarted::Unknown) => {
            let message = format!(
                "{party} is not a party of the configuration or of --driver; only these can be started here"
            );
            Err(Refusal::NotStarted { party, status: Status::NOT_FOUND, message })
        }
    }
}
