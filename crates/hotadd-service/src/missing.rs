//! GetMissing and RestartParty: which required parties are missing, and having one started anew (L4).

use std::time::UNIX_EPOCH;

use hotadd::wire::MAX_MESSAGE;
use hotadd::{Missing, Status};

use crate::connection::Connection;
use crate::remote::presentable;
use crate::reply::Refusal;
use crate::restart::NotRestarted;

/// How much of a message they may fill; the rest is its header.
const MOST_BYTES: usize = MAX_MESSAGE - 1024;

/// What one takes in a message besides its texts: numbers, lengths, and what aligns them.
const ROW_BYTES: usize = 48;

/// A missing party: name, since when in microseconds since 1970, status, reason. Signature `(stus)`.
type Row = (String, u64, u32, String);

/// Missing parties for the wire, as many as fit into one message.
pub(crate) fn rows(missing: Vec<Missing>) -> Vec<Row> {
    let mut bytes = 0;
    let rows = missing.into_iter().map(row);
    let fits = |(name, _, _, reason): &Row| {
        bytes += ROW_BYTES + name.len() + reason.len();
        bytes <= MOST_BYTES
    };
    rows.take_while(fits).collect()
}

fn row(missing: Missing) -> Row {
    let since = missing.since.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    (missing.party.name, since, missing.status.to_raw(), presentable(&missing.reason))
}

/// Has a party started anew.
pub(crate) fn restart(connection: &Connection, name: &str) -> Result<(), Refusal> {
    let restart = connection.core.restart.get();
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
                "{party} is no party of the configuration or of --driver, and only these can be started from here"
            );
            Err(Refusal::NotStarted { party, status: Status::NOT_FOUND, message })
        }
    }
}
