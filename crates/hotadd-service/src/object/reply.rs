//! [`Refusal`]: the error replies to requests; and the encoding of replies.

use hotadd::{Error, Status, Veto};
use hotadd_wire::{
    self as wire, Encode, MAX_MESSAGE, MAX_REASON, Message, MessageError, RequestError,
    StandardError, WireError,
};

/// The longest sentence that is sent: a reason, and the text before it.
const MAX_TEXT: usize = MAX_REASON + 1024;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A standard D-Bus error, by the last part of its name.
    Standard(&'static str, String),
    /// An error of the partition.
    Partition(Error),
    /// A limit of the service.
    Limit(String),
    /// A party that the operator named was not restarted.
    NotStarted { party: String, status: Status, message: String },
    /// There is no such party, or it belongs to another connection.
    NotRegistered(u64),
}

/// The result of a request.
pub(crate) type Reply = Result<Message, Refusal>;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error {
            // This comes from a partition that is served by another process.
            Error::Denied(why) => Self::Standard("AccessDenied", why),
            other => Self::Partition(other),
        }
    }
}

impl From<MessageError> for Refusal {
    fn from(error: MessageError) -> Self {
        StandardError::from(error).into()
    }
}

impl From<StandardError> for Refusal {
    fn from(StandardError(name, message): StandardError) -> Self {
        Self::Standard(name, message)
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Standard(error) => error.into(),
            RequestError::Limit(message) => Self::Limit(message),
        }
    }
}

impl Refusal {
    pub(crate) fn message(&self, call: &Message) -> Result<Message, MessageError> {
        let own =
            |name: &str, body: WireError| call.error(&format!("{}{name}", wire::ERROR), &body);
        match self {
            Self::Standard(name, message) => {
                call.standard_error(name, &wire::text(message, MAX_TEXT))
            }
            Self::Partition(error) => own(name(error), body(error)),
            Self::Limit(message) => {
                let status = Status::QUOTA_EXCEEDED.to_raw();
                own("Limit", (wire::text(message, MAX_TEXT), status, 0, 0, String::new()))
            }
            Self::NotStarted { party, status, message } => {
                own("NotStarted", (message.clone(), status.to_raw(), 0, 0, party.clone()))
            }
            Self::NotRegistered(party) => {
                let message = format!("this connection has no party {party}");
                let status = Status::INVALID_HANDLE.to_raw();
                own("NotRegistered", (message, status, 0, 0, String::new()))
            }
        }
    }
}

/// The D-Bus name of the error.
pub(crate) const fn name(error: &Error) -> &'static str {
    match error {
        Error::Vetoed { .. } => "Vetoed",
        Error::Platform { .. } | Error::Hardware(_) => "Platform",
        Error::Stuck { .. } => "Stuck",
        Error::NotJoining { .. } => "NotJoining",
        Error::Missing { .. } => "Missing",
        Error::Touched { .. } => "Touched",
        Error::NotRemovable { .. } => "NotRemovable",
        Error::InsideCallback(_) => "InsideCallback",
        Error::TooManyParties(_) | Error::BadName(_) | Error::Limit(_) | Error::NoThread { .. } => {
            "Limit"
        }
        Error::NotRegistered(_) => "NotRegistered",
        Error::Crashed(_) => "Crashed",
        // All other errors keep a processor from joining before any party is asked.
        _ => "NotAddable",
    }
}

/// The arguments of an error.
pub(crate) fn body(error: &Error) -> WireError {
    let errno = error.errno().map_or(0, |errno| errno.to_raw().unsigned_abs());
    let id = error.id().map_or(0, |id| id.0);
    let party = error.party().map(|party| party.name.clone()).unwrap_or_default();
    (sentence(error), error.status().to_raw(), errno, id, party)
}

/// The sentence of an error, shortened so that it can be sent. Drivers of this process give reasons of any length and content.
/// The reader finds the reason between the text before it and the status.
fn sentence(error: &Error) -> String {
    let mut sent = error.clone();
    if let Error::Vetoed { veto, .. } | Error::NotJoining { veto, .. } = &mut sent {
        *veto = Veto::new(veto.status(), wire::text(veto.reason(), MAX_REASON));
    }
    wire::text(&sent.to_string(), MAX_TEXT)
}

/// The reply with these arguments.
pub(crate) fn answer(call: &Message, arguments: &impl Encode) -> Reply {
    let answer = call.reply(arguments)?;
    let length = answer.bytes().len();
    if length > MAX_MESSAGE {
        return Err(Refusal::Limit(format!(
            "the answer would have {length} bytes; the limit is {MAX_MESSAGE}"
        )));
    }
    Ok(answer)
}
