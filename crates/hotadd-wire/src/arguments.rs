//! The arguments of a call, and the standard D-Bus errors for wrong ones.

use crate::message::{Body, Decode, Message, MessageError};

/// A standard D-Bus error: the last part of its name, and its text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{1}")]
pub struct StandardError(pub &'static str, pub String);

impl From<MessageError> for StandardError {
    fn from(error: MessageError) -> Self {
        Self("Failed", error.to_string())
    }
}

pub(crate) fn unknown_method(method: &str) -> StandardError {
    StandardError("UnknownMethod", format!("there is no method {method}"))
}

/// Decodes the arguments of a call.
pub(crate) fn arguments<T: Decode>(call: &Message) -> Result<T, StandardError> {
    call.arguments().map_err(|error| StandardError("InvalidArgs", error.to_string()))
}

/// Checks that a call has no arguments.
pub(crate) fn no_arguments(call: &Message) -> Result<(), StandardError> {
    match call.body() {
        Body::Empty | Body::Unsigned(_) => Ok(()),
        Body::Arguments(other) => {
            Err(StandardError("InvalidArgs", format!("it takes no arguments, not {other}")))
        }
    }
}
