//! Calls of a peer: which method of which interface they mean, and those that are answered at once.

use std::collections::HashMap;
use std::sync::Arc;

use hotadd::wire::{self, PARTITION, PARTITION_PATH};
use zbus::Message;
use zbus::names::InterfaceName;
use zbus::zvariant::Value;

use crate::connection::Connection;
use crate::reader::Lost;
use crate::reply::{Refusal, Reply, answer, arguments, no_arguments};
use crate::{lock, requests};

/// What Introspect returns at the partition's path.
const PARTITION_XML: &str = include_str!("../../../dbus/org.hotadd.Partition1.xml");

const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Serves a call. What waits for somebody is handed to a thread of its own.
///
/// # Errors
/// If it is none, without a path or a method; or if it is not for whoever makes it.
pub(crate) fn call(connection: &Arc<Connection>, call: &Message) -> Result<(), Lost> {
    let header = call.header();
    let (Some(path), Some(method)) = (header.path(), header.member()) else {
        return Err(Lost::Garbled("a call of nothing"));
    };
    let interface = header.interface().map(InterfaceName::as_str);
    let reply = match (interface, method.as_str()) {
        (Some(INTROSPECTABLE) | None, "Introspect") => introspect(call, path.as_str()),
        (Some(PEER) | None, "Ping") => no_arguments(call).and_then(|()| answer(call, &())),
        _ if path.as_str() != PARTITION_PATH => {
            Err(Refusal::Standard("UnknownObject", format!("there is nothing at {path}")))
        }
        (Some(PROPERTIES), method) => property(connection, call, method),
        (Some(PARTITION) | None, method) => {
            connection.authority.lets_call(method)?;
            match at_once(connection, call, method) {
                Some(reply) => reply,
                None => match requests::prepare(connection, call, method) {
                    // It answers for itself.
                    Ok(prepared) => return Ok(connection.authority.settle(prepared)?),
                    Err(refusal) => Err(refusal),
                },
            }
        }
        (Some(INTROSPECTABLE | PEER), method) => Err(unknown_method(method)),
        (Some(interface), _) => {
            Err(Refusal::Standard("UnknownInterface", format!("there is no {interface} here")))
        }
    };
    connection.reply(call, reply);
    Ok(())
}

pub(crate) fn unknown_method(method: &str) -> Refusal {
    Refusal::Standard("UnknownMethod", format!("there is no method {method}"))
}

/// The methods of the partition that wait for nobody; `None` for the others.
fn at_once(connection: &Connection, call: &Message, method: &str) -> Option<Reply> {
    let (ledger, partition) = (&connection.core.ledger, &connection.core.partition);
    Some(match method {
        "GetSet" => no_arguments(call).and_then(|()| answer(call, &wire::set(&partition.active()))),
        "Deregister" => deregister(connection, call),
        "GetParties" => no_arguments(call).and_then(|()| answer(call, &lock(ledger).parties())),
        "GetWaiting" => no_arguments(call).and_then(|()| answer(call, &lock(ledger).waiting())),
        _ => return None,
    })
}

fn deregister(connection: &Connection, call: &Message) -> Reply {
    let party = arguments(&call.body())?;
    if !connection.deregister(party) {
        return Err(Refusal::NotRegistered(party));
    }
    answer(call, &())
}

fn introspect(call: &Message, path: &str) -> Reply {
    no_arguments(call)?;
    if path == PARTITION_PATH {
        return answer(call, &PARTITION_XML);
    }
    // On the way to it: where to go next.
    let below = PARTITION_PATH.strip_prefix(path.trim_end_matches('/'));
    let next = below.and_then(|below| below.strip_prefix('/')).and_then(|b| b.split('/').next());
    match next {
        Some(next) => answer(call, &format!("<node><node name=\"{next}\"/></node>")),
        None => Err(Refusal::Standard("UnknownObject", format!("there is nothing at {path}"))),
    }
}

fn property(connection: &Connection, call: &Message, method: &str) -> Reply {
    let core = &connection.core;
    let value = |name: &str| match name {
        "Name" => Ok(Value::from(core.name.as_str())),
        "Hardware" => Ok(Value::from(core.partition.hardware())),
        "Epoch" => Ok(Value::from(core.partition.epoch().0)),
        _ => Err(Refusal::Standard("UnknownProperty", format!("there is no property {name}"))),
    };
    let here = |interface: &str| match interface {
        "" | PARTITION => Ok(()),
        other => Err(Refusal::Standard("UnknownInterface", format!("there is no {other} here"))),
    };
    let body = call.body();
    match method {
        "Get" => {
            let (interface, name) = arguments::<(&str, &str)>(&body)?;
            here(interface)?;
            answer(call, &value(name)?)
        }
        "GetAll" => {
            here(arguments(&body)?)?;
            let mut all = HashMap::new();
            for name in ["Name", "Hardware", "Epoch"] {
                all.insert(name, value(name)?);
            }
            answer(call, &all)
        }
        "Set" => Err(Refusal::Standard("PropertyReadOnly", "it cannot be set".to_owned())),
        _ => Err(unknown_method(method)),
    }
}
