//! The messages to and from the daemon of a message bus, and the identity of its peers.

use std::collections::HashMap;

use zbus::names::WellKnownName;
use zbus::zvariant::OwnedValue;

use crate::freedesktop::{BUS, BUS_PATH, NAME_OWNER_CHANGED};
use crate::message::{Encode, Message, MessageError, Outgoing};
pub use crate::peer::PeerName;

/// Flag of RequestName: fail rather than queue.
pub const DO_NOT_QUEUE: u32 = 4;

/// The reply of RequestName if the name is now owned by this connection.
pub const PRIMARY_OWNER: u32 = 1;

/// Whether a service can have this name on a bus.
#[must_use]
pub fn is_service_name(name: &str) -> bool {
    WellKnownName::try_from(name).is_ok()
}

/// A call of the bus.
///
/// # Errors
/// If it cannot be encoded.
pub fn call(method: &str, arguments: &impl Encode) -> Result<Message, MessageError> {
    Outgoing::call(BUS_PATH, BUS, method)?.for_service(BUS)?.build(arguments)
}

/// Decodes the bus's signal that a name has a new owner: the name, and its owner now.
#[must_use]
pub fn name_owner_changed(message: &Message) -> Option<(String, Option<PeerName>)> {
    if message.head().member() != NAME_OWNER_CHANGED {
        return None;
    }
    let (name, _, owner) = message.arguments::<(String, String, String)>().ok()?;
    Some((name, PeerName::parse(&owner)))
}

/// What a bus knows of a peer's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Its user.
    pub uid: u32,
    /// Its process id.
    pub pid: Option<u32>,
    /// All groups of its user.
    pub groups: Vec<u32>,
}

/// The reply to GetConnectionCredentials; `None` if the bus does not know the peer's user.
#[must_use]
pub fn credentials(reply: &Message) -> Option<Credentials> {
    let mut said = reply.arguments::<HashMap<String, OwnedValue>>().ok()?;
    let number = |key| said.get(key).and_then(|value| u32::try_from(value).ok());
    let (uid, pid) = (number("UnixUserID")?, number("ProcessID"));
    let groups = said.remove("UnixGroupIDs").and_then(|value| Vec::try_from(value).ok());
    Some(Credentials { uid, pid, groups: groups.unwrap_or_default() })
}

/// The text of an error reply.
#[must_use]
pub fn error_text(error: &Message) -> String {
    error.arguments().unwrap_or_else(|_| error.head().error_name().to_owned())
}
