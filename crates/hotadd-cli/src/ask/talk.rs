//! [`Talk`]: one question after the other to a running partition, over its socket.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotadd::Status;
use hotadd::wire::{ERROR, PARTITION, PARTITION_PATH, WireError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use zbus::zvariant::DynamicType;
use zbus::{Connection, connection};

/// A connection to a running partition.
pub(super) struct Talk {
    runtime: Runtime,
    connection: Connection,
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
    /// Reaches the partition of this name or, without one, the only one that there is.
    pub(super) fn with(name: Option<&str>) -> Result<Self, Failure> {
        let path = match name {
            Some(name) => hotadd_service::runtime_dir().join(name),
            None => the_only(&hotadd_service::runtime_dir())?,
        };
        let broken = |error: &dyn std::fmt::Display| Failure::Broken(error.to_string());
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(|e| broken(&e))?;
        let connection = runtime.block_on(async {
            let stream = UnixStream::connect(&path).await.map_err(|error| absent(&path, &error))?;
            connection::Builder::unix_stream(stream).p2p().build().await.map_err(|e| broken(&e))
        })?;
        Ok(Self { runtime, connection })
    }

    /// Calls a method and waits for its reply, however long that takes.
    pub(super) fn call<R: DeserializeOwned + zbus::zvariant::Type>(
        &self,
        method: &str,
        arguments: &(impl Serialize + DynamicType + Sync),
    ) -> Result<R, Failure> {
        self.runtime.block_on(ask(&self.connection, method, arguments))
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
            let mut answer = std::pin::pin!(ask(&self.connection, method, arguments));
            loop {
                tokio::select! {
                    answer = &mut answer => return answer,
                    () = tokio::time::sleep(every) => {
                        // Only to have something to show: if it cannot be had, the answer will say why.
                        if let Ok(seen) = ask(&self.connection, watch, &()).await {
                            meanwhile(seen);
                        }
                    }
                }
            }
        })
    }
}

async fn ask<R: DeserializeOwned + zbus::zvariant::Type>(
    connection: &Connection,
    method: &str,
    arguments: &(impl Serialize + DynamicType + Sync),
) -> Result<R, Failure> {
    let none = None::<&str>;
    let reply = connection.call_method(none, PARTITION_PATH, Some(PARTITION), method, arguments);
    match reply.await {
        Ok(reply) => reply.body().deserialize().map_err(|error| {
            Failure::Broken(format!("the partition answered {method} with nonsense: {error}"))
        }),
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
        Err(error) => {
            Err(Failure::Broken(format!("the connection to the partition broke: {error}")))
        }
    }
}

fn absent(path: &Path, error: &io::Error) -> Failure {
    let name = path.file_name().unwrap_or_default().display();
    Failure::NoPartition(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "there is no running partition {name} (looked at {}); `hotadd run --name {name}` starts one",
            path.display()
        ),
        _ => format!("partition {name} cannot be reached at {}: {error}", path.display()),
    })
}

/// The partition to talk to when none is named.
fn the_only(dir: &Path) -> Result<PathBuf, Failure> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let socket = |entry: &fs::DirEntry| {
        use std::os::unix::fs::FileTypeExt;
        entry.file_type().is_ok_and(|kind| kind.is_socket())
    };
    let mut names: Vec<_> = entries.filter(socket).map(|entry| entry.path()).collect();
    names.sort();
    match names.as_slice() {
        [] => Err(Failure::NoPartition(format!(
            "no partition is running (none listens in {}); `hotadd run --name NAME` starts one",
            dir.display()
        ))),
        [one] => Ok(one.clone()),
        many => {
            let name = |path: &PathBuf| path.file_name().unwrap_or_default().display().to_string();
            let names: Vec<_> = many.iter().map(name).collect();
            let names = names.join(", ");
            Err(Failure::Usage(format!("there are several partitions, say which by -p: {names}")))
        }
    }
}
