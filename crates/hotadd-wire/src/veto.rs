//! An agent's reply to a notice: it agrees, or its error gives the status of its veto.

use hotadd_core::{State, Status};

use crate::message::{Body, Kind, Message};
use crate::names::{CRASH_ERROR, STATUS_ERROR};

/// The error name by which a party vetoes with this status (A3). A valid D-Bus name for every status.
#[must_use]
pub fn veto_error(status: Status) -> String {
    format!("{STATUS_ERROR}x{:08X}", status.to_raw())
}

/// The error name by which an agent reports that its party crashed (L3), with this status.
#[must_use]
pub fn crash_error(status: Status) -> String {
    format!("{CRASH_ERROR}x{:08X}", status.to_raw())
}

/// The status of an error name, always an error: [`Status::UNSUCCESSFUL`] if the name contains none, or one that is not an
/// error. Agents of earlier versions omit the `x`.
#[must_use]
pub fn veto_status(error_name: &str) -> Status {
    let element =
        error_name.strip_prefix(STATUS_ERROR).or_else(|| error_name.strip_prefix(CRASH_ERROR));
    let element = element.unwrap_or_default();
    let digits = element.strip_prefix(['x', 'X']).unwrap_or(element);
    let hex = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let value = u32::from_str_radix(digits, 16).ok().filter(|_| hex);
    value.map(Status::from_raw).filter(|status| status.is_error()).unwrap_or(Status::UNSUCCESSFUL)
}

/// An agent's answer to a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentAnswer {
    /// The agent agrees.
    Agreed,
    /// The reply does not follow the protocol, for this reason (L3).
    Unreadable(String),
    /// The agent refuses.
    Refused {
        /// The status.
        status: Status,
        /// The error's name, if it gives no status.
        error: Option<String>,
        /// Whether its party crashed (L3).
        crashed: bool,
        /// The reason, unchanged.
        reason: Option<String>,
    },
}

/// Decodes an agent's reply to this notice.
#[must_use]
pub fn read_answer(reply: &Message, state: State) -> AgentAnswer {
    if reply.kind() == Kind::Reply {
        return match reply.body() {
            Body::Empty => AgentAnswer::Agreed,
            // An agreement has no arguments. A body without a signature cannot be decoded, and is not an agreement.
            Body::Unsigned(length) => AgentAnswer::Unreadable(format!(
                "it answered {state} with {length} bytes without a signature"
            )),
            Body::Arguments(signature) => AgentAnswer::Unreadable(format!(
                "it answered {state} with arguments ({signature}), although the answer has none"
            )),
        };
    }
    let head = reply.head();
    let name = head.error_name();
    let crashed = name.starts_with(CRASH_ERROR);
    AgentAnswer::Refused {
        status: veto_status(name),
        error: (!crashed && !name.starts_with(STATUS_ERROR)).then(|| name.to_owned()),
        crashed,
        reason: reply.first_text(),
    }
}
