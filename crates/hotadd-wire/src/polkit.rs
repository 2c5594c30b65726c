//! The conversation with polkit, the authority of a bus.

use std::collections::HashMap;

use zbus::zvariant::Value;

use crate::message::{Message, MessageError, Outgoing};
use crate::peer::PeerName;

/// Its name on a bus.
pub const NAME: &str = "org.freedesktop.PolicyKit1";
const PATH: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";

/// Flag of CheckAuthorization: people may be asked for a password.
const ALLOW_INTERACTION: u32 = 1;

/// What an answer says: whether it may be done, whether it could be if people were asked, and more.
type Answer = ((bool, bool, HashMap<String, String>),);

/// The question to this owner of the name whether a peer of the bus may do something. By its id it can be cancelled.
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
    let call = call("CheckAuthorization")?.to(Some(owner))?.without_start()?;
    call.build(&(subject, action, details, flags, id))
}

/// What cancels a question.
///
/// # Errors
/// If it cannot be encoded.
pub fn cancel(owner: &PeerName, id: &str) -> Result<Message, MessageError> {
    call("CancelCheckAuthorization")?.to(Some(owner))?.without_reply()?.build(&id)
}

/// What the reply to a question says: whether it may be done, and whether it could be if people were asked.
#[must_use]
pub fn answer(reply: &Message) -> Option<(bool, bool)> {
    let ((authorized, challenge, _),) = reply.arguments::<Answer>().ok()?;
    Some((authorized, challenge))
}

fn call(method: &'static str) -> Result<Outgoing<'static>, MessageError> {
    Outgoing::call(PATH, INTERFACE, method)
}
