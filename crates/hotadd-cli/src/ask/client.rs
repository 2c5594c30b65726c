//! [`Client`]: a connection to a partition, over its socket or a bus, that asks it one thing or several at a time.

use std::cell::OnceCell;
use std::time::Duration;

use hotadd::Status;
use hotadd_wire::freedesktop::{PEER, PROPERTIES, SERVICE_UNKNOWN};
use hotadd_wire::{
    BusAddress, Decode, ERROR, Encode, Kind, MACHINE_BUS_NAME, Message, MessageError, Outgoing,
    PARTITION, PARTITION_PATH, Stream, WireError, bus_name, hardware,
};
use tokio::net::UnixStream;

use super::connection::{Connection, Lost};
use super::failure::{Failure, Refusal, several};
use super::found::{Found, Warn};
use super::patience::Process;

/// How long a bus may take to say which process a partition is.
const BRIEF: Duration = Duration::from_secs(1);

/// A connection to a running partition.
pub(crate) struct Client {
    connection: Connection,
    /// The partition's name on a bus.
    name: Option<String>,
    /// The process that listens at the socket, if it is a socket.
    process: Option<Process>,
}

impl Client {
    /// Connects to the requested partition or, if none is named, to the only one that exists. `listens` is set as soon as it is known.
    pub(crate) async fn connect(
        bus: Option<&BusAddress>,
        partition: Option<&str>,
        listens: &OnceCell<Process>,
        warn: Warn,
    ) -> Result<Self, Failure> {
        let (connection, name) = match bus {
            Some(bus) => on_bus(bus, partition).await?,
            None => (over_socket(partition, listens, warn).await?, None),
        };
        Ok(Self { connection, name, process: listens.get().cloned() })
    }

    /// The names of all partitions that can be found.
    pub(crate) async fn names(
        bus: Option<&BusAddress>,
        warn: Warn,
    ) -> Result<Vec<String>, Failure> {
        match bus {
            Some(bus) => names(bus, &to_bus(bus).await?).await,
            None => Found::names(warn),
        }
    }

    /// The process that should answer, as far as it is known. A bus is asked for it.
    pub(crate) async fn process(&self) -> Option<Process> {
        let Some(name) = &self.name else { return self.process.clone() };
        let asking = self.connection.call_bus::<u32>("GetConnectionUnixProcessID", name);
        let pid = tokio::time::timeout(BRIEF, asking).await;
        let pid = pid.ok().and_then(Result::ok).and_then(|pid| i32::try_from(pid).ok());
        Some(Process { place: name.into(), pid: pid.unwrap_or(0) })
    }

    /// The kind of the partition's hardware.
    pub(crate) async fn hardware(&self) -> Result<String, Failure> {
        let reply = self.standard(PROPERTIES, "Get", &(PARTITION, "Hardware")).await?;
        hardware(&reply).ok_or_else(|| {
            Failure::Broken("the partition's answer about its hardware is invalid".to_owned())
        })
    }

    /// The id of the partition's machine.
    pub(crate) async fn machine(&self) -> Result<String, Failure> {
        let reply = self.standard(PEER, "GetMachineId", &()).await?;
        reply.arguments().map_err(|error| {
            Failure::Broken(format!("the partition's answer about its machine is invalid: {error}"))
        })
    }

    /// Calls a method of a standard interface.
    async fn standard(
        &self,
        interface: &str,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<Message, Failure> {
        let call = self.message(interface, method, arguments);
        let call = call.map_err(|error| Failure::Broken(error.to_string()))?;
        let reply = self.connection.call(&call).await.map_err(lost)?;
        match reply.kind() {
            Kind::Reply => Ok(reply),
            _ => Err(Failure::Broken(format!("{method} failed: {}", reply.head().error_name()))),
        }
    }

    /// A call. Allows the user to be asked for a password if the partition is a machine's.
    fn message(
        &self,
        interface: &str,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<Message, MessageError> {
        let mut call = Outgoing::call(PARTITION_PATH, interface, method)?;
        if let Some(name) = &self.name {
            call = call.for_service(name)?.interactive()?;
        }
        call.build(arguments)
    }

    /// Calls a method, and waits for its reply.
    pub(crate) async fn ask<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        let call = self.message(PARTITION, method, arguments).map_err(|error| broke(&error))?;
        let reply = self.connection.call(&call).await.map_err(lost)?;
        if reply.kind() == Kind::Reply {
            return reply.arguments().map_err(|error| {
                Failure::Broken(format!("the partition's answer to {method} is invalid: {error}"))
            });
        }
        let head = reply.head();
        let name = head.error_name();
        if name == SERVICE_UNKNOWN {
            let name = self.name.as_deref();
            return Err(Failure::NoPartition(name.map_or_else(String::new, nobody)));
        }
        let name = name.strip_prefix(ERROR).unwrap_or(name).to_owned();
        Err(Failure::Refused(match reply.arguments::<WireError>() {
            Ok((message, status, errno, _, party)) => {
                Refusal { name, message, status: Status::from_raw(status), errno, party }
            }
            Err(_) => Refusal {
                message: reply.first_text().unwrap_or_else(|| name.clone()),
                name,
                status: Status::UNSUCCESSFUL,
                errno: 0,
                party: String::new(),
            },
        }))
    }
}

fn broke(error: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(format!("the connection to the partition broke: {error}"))
}

/// The failure of a call without a reply.
fn lost(lost: Lost) -> Failure {
    match lost {
        Lost::Unsound(why) => {
            Failure::Broken(format!("the partition does not follow the protocol: {why}"))
        }
        Lost::Closed(_) => {
            Failure::Closed(format!("the connection to the partition broke: {lost}"))
        }
        lost => broke(&lost),
    }
}

pub(super) fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

async fn over_socket(
    partition: Option<&str>,
    process: &OnceCell<Process>,
    warn: Warn,
) -> Result<Connection, Failure> {
    let found = Found::of(partition, warn)?;
    let stream = UnixStream::connect(&found.path).await;
    let stream = stream.map_err(|error| found.absent(&error))?;
    let listens = found.believe(&stream)?;
    process.get_or_init(|| listens);
    Connection::open(stream, Stream::of_peer()).await.map_err(|e| broken(&e))
}

/// A connection to a bus, and the partition's name there.
async fn on_bus(
    bus: &BusAddress,
    partition: Option<&str>,
) -> Result<(Connection, Option<String>), Failure> {
    let connection = to_bus(bus).await?;
    let name = match partition {
        Some(name) => full(name),
        None => match &names(bus, &connection).await?[..] {
            [one] => full(one),
            many => {
                let many: Vec<_> = many.iter().map(String::as_str).collect();
                return Err(several(&many));
            }
        },
    };
    Ok((connection, Some(name)))
}

async fn to_bus(bus: &BusAddress) -> Result<Connection, Failure> {
    let unreachable = |error: &dyn std::fmt::Display| {
        Failure::Broken(format!("{bus} cannot be reached: {error}"))
    };
    let stream = bus.connect().and_then(UnixStream::from_std);
    let stream = stream.map_err(|error| unreachable(&Lost::from(error)))?;
    let connection = Connection::open(stream, Stream::of_bus()).await;
    let connection = connection.map_err(|lost| unreachable(&lost))?;
    let hello = connection.call_bus::<String>("Hello", &()).await;
    hello.map_err(|error| unreachable(&error))?;
    Ok(connection)
}

/// The partitions on a bus, by the names that users give.
async fn names(bus: &BusAddress, connection: &Connection) -> Result<Vec<String>, Failure> {
    let names = connection.call_bus::<Vec<String>>("ListNames", &()).await;
    let mut names = names.map_err(|e| broken(&e))?;
    let prefix = bus_name("");
    names.retain(|name| name.starts_with(&prefix) || name == MACHINE_BUS_NAME);
    names.sort();
    if names.is_empty() {
        return Err(Failure::NoPartition(format!("there is no partition on {bus}")));
    }
    Ok(names.iter().map(|name| name.trim_start_matches(&prefix).to_owned()).collect())
}

/// A partition's name on a bus. The machine's has one of its own.
fn full(name: &str) -> String {
    if name == MACHINE_BUS_NAME { name.to_owned() } else { bus_name(name) }
}

fn nobody(name: &str) -> String {
    if name == MACHINE_BUS_NAME {
        return format!("the machine's partition is not on that bus (as {name})");
    }
    let partition = name.trim_start_matches(&bus_name("")).to_owned();
    format!(
        "there is no partition {partition} on that bus (as {name}); `hotadd run --name {partition} --bus BUS` starts one"
    )
}
