//! [`DirectBus`]: answers on a direct connection as a message bus would. D-Bus libraries call the bus before anything else, and
//! so can connect. The bus has two peers: the partition and the client.
//!
//! No call stores anything. Match rules are accepted and ignored, because the partition sends all its signals in any case. Names
//! cannot be requested, because no peer could call them.

use std::collections::HashMap;

use zbus::zvariant::Value;

use crate::arguments::{StandardError, arguments, no_arguments, unknown_method};
use crate::bus::is_service_name;
use crate::freedesktop::{BUS, INTROSPECTABLE, PEER, PROPERTIES};
use crate::limits::text;
use crate::message::Message;
use crate::peer::{PARTITION_PEER, PeerName};
use crate::standard::peer;

/// What Introspect returns at the path of the bus.
const BUS_XML: &str = include_str!("direct.xml");

/// The longest name that an error text repeats: the longest name that D-Bus allows.
const LONGEST_NAME: usize = 255;

/// Replies of the bus: StartServiceByName, and ReleaseName for a name without an owner and for one with another owner.
const ALREADY_RUNNING: u32 = 2;
const NO_SUCH_NAME: u32 = 2;
const NOT_OWNER: u32 = 3;

type Answer = Result<Message, StandardError>;

/// A direct connection, as a client sees it that treats it as a bus.
#[derive(Clone, Copy, Debug)]
pub struct DirectBus<'a> {
    /// The partition's well-known name.
    pub partition: &'a str,
    /// The number of the connection, from 1. The client's unique name has it.
    pub client: u64,
    /// The client has called Hello.
    pub is_greeted: bool,
    /// The GUID of the handshake.
    pub guid: &'a str,
    /// The user of the partition's process.
    pub user: u32,
    /// The partition's process.
    pub process: u32,
    /// The id of this machine, if it has one.
    pub machine: Option<&'a str>,
}

impl DirectBus<'_> {
    /// Answers a call to the bus, or to a peer that does not exist. Returns `None` for a call to the partition. A call without a
    /// destination is one to the partition, unless it names the interface of the bus.
    #[must_use]
    pub fn answer(&self, call: &Message) -> Option<Answer> {
        let head = call.head();
        match head.destination() {
            None if head.interface() == Some(BUS) => Some(self.of_bus(call)),
            None => None,
            Some(BUS) => Some(self.of_bus(call)),
            Some(name) if name == PARTITION_PEER.as_str() || name == self.partition => None,
            Some(name) => Some(Err(self.unknown(name))),
        }
    }

    /// Whether a call is the one by which a client greets a bus.
    #[must_use]
    pub fn is_hello(call: &Message) -> bool {
        let head = call.head();
        head.member() == "Hello" && head.interface().is_none_or(|interface| interface == BUS)
    }

    fn of_bus(&self, call: &Message) -> Answer {
        let head = call.head();
        let method = head.member();
        match head.interface() {
            Some(BUS) => self.method(call, method),
            Some(INTROSPECTABLE) if method == "Introspect" => {
                no_arguments(call)?;
                Ok(call.reply(&BUS_XML)?)
            }
            Some(PEER) => {
                peer(call, method, self.machine).unwrap_or_else(|| Err(unknown_method(method)))
            }
            Some(PROPERTIES) => property(call, method),
            None => self.method(call, method),
            Some(INTROSPECTABLE) => Err(unknown_method(method)),
            Some(other) => {
                Err(StandardError("UnknownInterface", format!("there is no interface {other}")))
            }
        }
    }

    fn method(&self, call: &Message, method: &str) -> Answer {
        let name = || arguments::<String>(call);
        let with_flags = || arguments::<(String, u32)>(call);
        Ok(match method {
            "Hello" => {
                no_arguments(call)?;
                if self.is_greeted {
                    let why = "this connection has called Hello before";
                    return Err(StandardError("Failed", why.to_owned()));
                }
                call.reply(&self.client())
            }
            "AddMatch" | "RemoveMatch" => name().map(|_| call.reply(&()))?,
            "GetId" => no_arguments(call).map(|()| call.reply(&self.guid))?,
            "ListNames" => no_arguments(call).map(|()| call.reply(&self.names()))?,
            "ListActivatableNames" => no_arguments(call).map(|()| call.reply(&vec![BUS]))?,
            "NameHasOwner" => call.reply(&self.owner(&name()?).is_ok()),
            "GetNameOwner" => call.reply(&self.owner(&name()?)?),
            "ListQueuedOwners" => call.reply(&vec![self.owner(&name()?)?]),
            "StartServiceByName" => {
                let (name, _) = with_flags()?;
                self.owner(&name).map_err(|_| self.unknown(&name))?;
                call.reply(&ALREADY_RUNNING)
            }
            "RequestName" => {
                let (name, _) = with_flags()?;
                return Err(StandardError(
                    "NotSupported",
                    format!(
                        "{} cannot be owned here: this connection has no other peer that could call it",
                        text(&name, LONGEST_NAME)
                    ),
                ));
            }
            "ReleaseName" => {
                let is_owned = self.owner(&name()?).is_ok();
                call.reply(&if is_owned { NOT_OWNER } else { NO_SUCH_NAME })
            }
            "GetConnectionUnixUser" => {
                self.process_of(&name()?).map(|()| call.reply(&self.user))?
            }
            "GetConnectionUnixProcessID" => {
                self.process_of(&name()?).map(|()| call.reply(&self.process))?
            }
            "GetConnectionCredentials" => {
                self.process_of(&name()?)?;
                let said = [("UnixUserID", self.user), ("ProcessID", self.process)];
                let said = said.map(|(key, value)| (key, Value::from(value)));
                call.reply(&HashMap::from(said))
            }
            other => return Err(unknown_method(other)),
        }?)
    }

    /// The client's unique name.
    fn client(&self) -> String {
        PeerName::of_client(self.client).to_string()
    }

    /// All names.
    fn names(&self) -> Vec<String> {
        let mut names = vec![BUS.to_owned(), PARTITION_PEER.to_string()];
        names.extend(self.is_greeted.then(|| self.client()));
        // A partition may have a name that D-Bus does not allow.
        names.extend(Some(self.partition.to_owned()).filter(|name| is_service_name(name)));
        names
    }

    /// The unique name of the owner of a name.
    fn owner(&self, name: &str) -> Result<String, StandardError> {
        if !self.names().iter().any(|known| known == name) {
            let why = format!("{} has no owner: {}", text(name, LONGEST_NAME), self.reach());
            return Err(StandardError("NameHasNoOwner", why));
        }
        let is_partitions = name == self.partition;
        Ok(if is_partitions { PARTITION_PEER.to_string() } else { name.to_owned() })
    }

    /// Whether the partition's process has this name. The client knows its own process.
    fn process_of(&self, name: &str) -> Result<(), StandardError> {
        if self.owner(name)? == self.client() {
            let why = "only the partition's process is known here, and this is the client's name";
            return Err(StandardError("Failed", why.to_owned()));
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> StandardError {
        let why = format!("there is no {}: {}", text(name, LONGEST_NAME), self.reach());
        StandardError("ServiceUnknown", why)
    }

    /// The end of errors about a name.
    fn reach(&self) -> String {
        format!("this connection reaches only the partition, {} or no name", self.partition)
    }
}

/// The properties of the bus: it has no optional features and no further interfaces.
fn property(call: &Message, method: &str) -> Answer {
    let unknown =
        |name| StandardError("UnknownProperty", format!("the bus has no property {name}"));
    let none = || Value::from(Vec::<String>::new());
    let all = ["Features", "Interfaces"];
    match method {
        "Get" => {
            let (_, name) = arguments::<(String, String)>(call)?;
            let known = all.contains(&name.as_str());
            if known { Ok(call.reply(&none())?) } else { Err(unknown(text(&name, LONGEST_NAME))) }
        }
        "GetAll" => {
            arguments::<String>(call)?;
            Ok(call.reply(&HashMap::from(all.map(|name| (name, none()))))?)
        }
        "Set" => Err(StandardError("PropertyReadOnly", "the property is read-only".to_owned())),
        _ => Err(unknown_method(method)),
    }
}
