//! The messages to and from polkit, the authority of a bus.

use std::collections::HashMap;

use zbus::zvariant::Value;

use crate::freedesktop::{POLKIT_AUTHORITY, POLKIT_PATH};
use crate::message::{Message, MessageError, Outgoing};
use crate::peer::PeerName;

/// Flag of CheckAuthorization: a user may be asked for a password.
const ALLOW_INTERACTION: u32 = 1;

/// An answer: whether the action is authorized, whether it could be if a user were asked, and more.
type Answer = ((bool, bool, HashMap<String, String>),);

/// The question to `owner`, the owner of polkit's name, whether a peer of the bus may do an action. The id can be
/// used to cancel it.
///
/// # Errors
/// If it cannot be encoded.
pub fn check(
    owner: &PeerName,
    subject: &PeerName,
    action: &str,
    interactive: bool,
    id: &str,
) -> Result<Message, MessageError> {
    let subject = ("system-bus-name", HashMap::from([("name", Value::from(subject.as_str()))]));
    let flags = if interactive { ALLOW_INTERACTION } else { 0 };
    let details = HashMap::<&str, &str>::new();
    let call = call("CheckAuthorization")?.to(owner)?.without_start()?;
    call.build(&(subject, action, details, flags, id))
}

/// The call that cancels a question.
///
/// # Errors
/// If it cannot be encoded.
pub fn cancel(owner: &PeerName, id: &str) -> Result<Message, MessageError> {
    call("CancelCheckAuthorization")?.to(owner)?.without_reply()?.build(&id)
}

/// Decodes the reply to a question: whether the action is authorized, and whether it could be if a user were asked.
#[must_use]
pub fn answer(reply: &Message) -> Option<(bool, bool)> {
    let ((authorized, challenge, _),) = reply.arguments::<Answer>().ok()?;
    Some((authorized, challenge))
}

fn call(method: &'static str) -> Result<Outgoing<'static>, MessageError> {
    Outgoing::call(POLKIT_PATH, POLKIT_AUTHORITY, method)
}
