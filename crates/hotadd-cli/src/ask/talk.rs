//! [`Talk`]: one question after the other to a running partition, over its socket or a bus.

use std::time::Duration;

use hotadd::Status;
use hotadd::wire::{ERROR, PARTITION, PARTITION_PATH, WireError};
use hotadd_service::{BusAddress, MACHINE_BUS_NAME, bus_name};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use zbus::proxy::{self, CacheProperties, MethodFlags};
use zbus::zvariant::DynamicType;
use zbus::{Connection, Proxy, connection};

use super::found::Found;
use super::socket;
use crate::args::Ask;

/// The error of a bus on which nobody has the name.
const NOBODY: &str = "org.freedesktop.DBus.Error.ServiceUnknown";

/// A connection to a running partition.
pub(super) struct Talk {
    runtime: Runtime,
    connection: Connection,
    /// What the partition is called on a bus.
    name: Option<String>,
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing listens there: exit status 3.
    #[error("{0}")]
    NoPartition(String),
    /// The question cannot be asked like this: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The partition says no: exit status 1.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The connection broke, or what came over it makes no sense: exit status 1.
    #[error("{0}")]
    Broken(String),
}

/// An error of `org.hotadd.Partition1`.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// Its name, without the prefix.
    pub(super) name: String,
    pub(super) message: String,
    pub(super) status: Status,
    pub(super) errno: u32,
    pub(super) party: String,
}

impl Talk {
    /// Reaches the partition that is meant or, if none is named, the only one that there is.
    pub(super) fn with(ask: &Ask) -> Result<Self, Failure> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(|e| broken(&e))?;
        let partition = ask.partition.as_deref();
        let (connection, name) = match &ask.bus {
            Some(bus) => runtime.block_on(on_bus(bus, partition))?,
            None => (runtime.block_on(over_socket(partition))?, None),
        };
        Ok(Self { runtime, connection, name })
    }

    /// Calls a method and waits for its reply, however long that takes.
    pub(super) fn call<R: DeserializeOwned + zbus::zvariant::Type>(
        &self,
        method: &str,
        arguments: &(impl Serialize + DynamicType + Sync),
    ) -> Result<R, Failure> {
        self.runtime.block_on(self.ask(method, arguments))
    }

    /// The same, and every so often `meanwhile` is given what another method replies.
    pub(super) fn call_and_watch<R, W>(
        &self,
        method: &str,
        arguments: &(impl Serialize + DynamicType + Sync),
        every: Duration,
        watch: &str,
        mut meanwhile: impl FnMut(W),
    ) -> Result<R, Failure>
    where
        R: DeserializeOwned + zbus::zvariant::Type,
        W: DeserializeOwned + zbus::zvariant::Type,
    {
        self.runtime.block_on(async {
            let mut answer = std::pin::pin!(self.ask(method, arguments));
            loop {
                tokio::select! {
                    answer = &mut answer => return answer,
                    () = tokio::time::sleep(every) => {
                        // Only to have something to show: if it cannot be had, the answer will say why.
                        if let Ok(seen) = self.ask(watch, &()).await {
                            meanwhile(seen);
                        }
                    }
                }
            }
        })
    }

    /// Calls it, and lets people be asked for a password where the partition is one of a machine.
    async fn reply<R: DeserializeOwned + zbus::zvariant::Type>(
        &self,
        method: &str,
        arguments: &(impl Serialize + DynamicType + Sync),
    ) -> zbus::Result<R> {
        let Some(name) = self.name.as_deref() else {
            let to = None::<&str>;
            let reply =
                self.connection.call_method(to, PARTITION_PATH, Some(PARTITION), method, arguments);
            return reply.await?.body().deserialize();
        };
        let proxy = proxy::Builder::<Proxy<'_>>::new(&self.connection);
        let proxy = proxy.destination(name)?.path(PARTITION_PATH)?.interface(PARTITION)?;
        let proxy = proxy.cache_properties(CacheProperties::No).build().await?;
        let flags = MethodFlags::AllowInteractiveAuth.into();
        // There is a reply, as the flags do not say that none is expected.
        let reply = proxy.call_with_flags(method, flags, arguments).await?;
        reply.ok_or(zbus::Error::InvalidReply)
    }

    async fn ask<R: DeserializeOwned + zbus::zvariant::Type>(
        &self,
        method: &str,
        arguments: &(impl Serialize + DynamicType + Sync),
    ) -> Result<R, Failure> {
        match self.reply(method, arguments).await {
            Ok(reply) => Ok(reply),
            Err(error @ (zbus::Error::Variant(_) | zbus::Error::InvalidReply)) => Err(
                Failure::Broken(format!("the partition answered {method} with nonsense: {error}")),
            ),
            Err(zbus::Error::MethodError(name, _, _)) if name == NOBODY => {
                Err(Failure::NoPartition(self.name.as_deref().map_or_else(String::new, nobody)))
            }
            Err(zbus::Error::MethodError(name, text, reply)) => {
                let name = name.as_str();
                let name = name.strip_prefix(ERROR).unwrap_or(name).to_owned();
                let refusal = match reply.body().deserialize::<WireError>() {
                    Ok((message, status, errno, _, party)) => {
                        Refusal { name, message, status: Status::from_raw(status), errno, party }
                    }
                    Err(_) => Refusal {
                        message: text.unwrap_or_else(|| name.clone()),
                        name,
                        status: Status::UNSUCCESSFUL,
                        errno: 0,
                        party: String::new(),
                    },
                };
                Err(Failure::Refused(refusal))
            }
            Err(error) => Err(Failure::Broken(match socket::unsound(&error) {
                Some(why) => format!("the partition does not follow the protocol: {why}"),
                None => format!("the connection to the partition broke: {error}"),
            })),
        }
    }
}

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

async fn over_socket(partition: Option<&str>) -> Result<Connection, Failure> {
    let found = Found::of(partition)?;
    let stream = UnixStream::connect(&found.path).await;
    let stream = stream.map_err(|error| found.absent(&error))?;
    found.believe(&stream)?;
    connection::Builder::socket(socket::checked(stream)).p2p().build().await.map_err(|e| broken(&e))
}

/// A connection to a bus, and what the partition is called there.
async fn on_bus(
    bus: &BusAddress,
    partition: Option<&str>,
) -> Result<(Connection, Option<String>), Failure> {
    let unreachable =
        |error: zbus::Error| Failure::Broken(format!("{bus} cannot be reached: {error}"));
    let stream = bus.connect().and_then(UnixStream::from_std);
    let stream = stream.map_err(|error| unreachable(error.into()))?;
    let connection = connection::Builder::socket(socket::checked_bus(stream)).build().await;
    let connection = connection.map_err(unreachable)?;
    let name = match partition {
        // So it is listed where there are several.
        Some(MACHINE_BUS_NAME) => MACHINE_BUS_NAME.to_owned(),
        Some(name) => bus_name(name),
        None => {
            let dbus = zbus::fdo::DBusProxy::new(&connection).await.map_err(unreachable)?;
            let names = dbus.list_names().await.map_err(|e| broken(&e))?;
            let prefix = bus_name("");
            let names = names.iter().map(ToString::to_string);
            let ours = |name: &String| name.starts_with(&prefix) || name == MACHINE_BUS_NAME;
            let mut names: Vec<_> = names.filter(ours).collect();
            names.sort();
            match names.as_slice() {
                [] => return Err(Failure::NoPartition(format!("no partition is on {bus}"))),
                [one] => one.clone(),
                many => {
                    let many = many.iter().map(|name| name.trim_start_matches(&prefix));
                    return Err(several(&many.collect::<Vec<_>>()));
                }
            }
        }
    };
    Ok((connection, Some(name)))
}

fn nobody(name: &str) -> String {
    if name == MACHINE_BUS_NAME {
        return format!("no machine's partition is on that bus (as {name})");
    }
    let partition = name.trim_start_matches(&bus_name("")).to_owned();
    format!(
        "no partition {partition} is on that bus (as {name}); `hotadd run --name {partition} --bus BUS` starts one"
    )
}

pub(super) fn several(names: &[&str]) -> Failure {
    Failure::Usage(format!("there are several partitions, say which by -p: {}", names.join(", ")))
}
