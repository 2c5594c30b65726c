//! The standard D-Bus interfaces of a partition: introspection, peer and properties.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

use crate::arguments::{StandardError, arguments, no_arguments, unknown_method};
use crate::freedesktop::{INTROSPECTABLE, PEER, PROPERTIES};
use crate::message::{Message, MessageError};
use crate::names::{PARTITION, PARTITION_PATH};

/// What Introspect returns at the partition's path.
const PARTITION_XML: &str = include_str!("org.hotadd.Partition1.xml");

type Answer = Result<Message, StandardError>;

/// The properties of a partition.
#[derive(Clone, Copy, Debug)]
pub struct Properties<'a> {
    /// The partition's name.
    pub name: &'a str,
    /// The kind of hardware.
    pub hardware: &'a str,
    /// The epoch of the active set.
    pub epoch: u64,
    /// The id of this machine, if it has one.
    pub machine: Option<&'a str>,
}

impl Properties<'_> {
    /// Answers a call, unless it concerns the partition's own interface at its path. For such a call it returns `None`.
    #[must_use]
    pub fn answer(&self, call: &Message) -> Option<Answer> {
        let head = call.head();
        let (path, method) = (head.path(), head.member());
        Some(match (head.interface(), method) {
            (Some(INTROSPECTABLE) | None, "Introspect") => introspect(call, path),
            (Some(PEER) | None, "Ping" | "GetMachineId") => peer(call, method, self.machine)?,
            _ if path != PARTITION_PATH => {
                Err(StandardError("UnknownObject", format!("there is no object at {path}")))
            }
            (Some(PROPERTIES), method) => self.property(call, method),
            (Some(PARTITION) | None, _) => return None,
            (Some(INTROSPECTABLE | PEER), method) => Err(unknown_method(method)),
            (Some(interface), _) => {
                Err(StandardError("UnknownInterface", format!("there is no interface {interface}")))
            }
        })
    }

    fn property(&self, call: &Message, method: &str) -> Answer {
        let value = |name: &str| match name {
            "Name" => Ok(Value::from(self.name)),
            "Hardware" => Ok(Value::from(self.hardware)),
            "Epoch" => Ok(Value::from(self.epoch)),
            _ => Err(StandardError("UnknownProperty", format!("there is no property {name}"))),
        };
        let here = |interface: &str| match interface {
            "" | PARTITION => Ok(()),
            other => {
                Err(StandardError("UnknownInterface", format!("there is no interface {other}")))
            }
        };
        match method {
            "Get" => {
                let (interface, name) = arguments::<(String, String)>(call)?;
                here(&interface)?;
                Ok(call.reply(&value(&name)?)?)
            }
            "GetAll" => {
                here(&arguments::<String>(call)?)?;
                let mut all = HashMap::new();
                for name in ["Name", "Hardware", "Epoch"] {
                    all.insert(name, value(name)?);
                }
                Ok(call.reply(&all)?)
            }
            "Set" => Err(StandardError("PropertyReadOnly", "the property is read-only".to_owned())),
            _ => Err(unknown_method(method)),
        }
    }
}

/// The call that asks a partition for its kind of hardware.
///
/// # Errors
/// None: its arguments are fixed and small.
pub fn hardware_call() -> Result<Message, MessageError> {
    Message::call(PARTITION_PATH, PROPERTIES, "Get", &(PARTITION, "Hardware"))
}

/// Decodes the reply to [`hardware_call`].
#[must_use]
pub fn hardware(reply: &Message) -> Option<String> {
    String::try_from(reply.arguments::<OwnedValue>().ok()?).ok()
}

/// Answers a method of the interface Peer; `None` if it has no such method. `machine` is the id of this machine.
pub(crate) fn peer(call: &Message, method: &str, machine: Option<&str>) -> Option<Answer> {
    let id = || {
        let none =
            || StandardError("Failed", "this machine has no id in /etc/machine-id".to_owned());
        no_arguments(call)?;
        Ok(call.reply(&machine.ok_or_else(none)?)?)
    };
    match method {
        "Ping" => Some(no_arguments(call).and_then(|()| Ok(call.reply(&())?))),
        "GetMachineId" => Some(id()),
        _ => None,
    }
}

fn introspect(call: &Message, path: &str) -> Answer {
    no_arguments(call)?;
    if path == PARTITION_PATH {
        return Ok(call.reply(&PARTITION_XML)?);
    }
    // For a parent of the partition's path: the next node.
    let below = PARTITION_PATH.strip_prefix(path.trim_end_matches('/'));
    let next = below.and_then(|below| below.strip_prefix('/')).and_then(|b| b.split('/').next());
    match next {
        Some(next) => Ok(call.reply(&format!("<node><node name=\"{next}\"/></node>"))?),
        None => Err(StandardError("UnknownObject", format!("there is no object at {path}"))),
    }
}
