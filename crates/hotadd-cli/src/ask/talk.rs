//! [`Talk`]: asks a running partition one question after the other, over its socket or a bus.

use std::cell::{Cell, OnceCell};
use std::time::Duration;

use hotadd::Status;
use hotadd_wire::{
    BusAddress, Decode, ERROR, Encode, Kind, MACHINE_BUS_NAME, Message, MessageError, Outgoing,
    PARTITION, PARTITION_PATH, Stream, WaitingRow, WireError, bus_name,
};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::Shown;
use super::connection::{Connection, Lost};
use super::failure::{Failure, Refusal, several};
use super::found::Found;
use super::patience::{Over, Patience, Process, silent};
use crate::args::Ask;

/// The error of a bus on which no process owns the name.
const NOBODY: &str = "org.freedesktop.DBus.Error.ServiceUnknown";

/// After how long a waiting user is shown what the command waits for, and how often afterwards.
const FIRST: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(500);

/// A connection to a running partition.
pub(super) struct Talk {
    runtime: Runtime,
    connection: Connection,
    /// The partition's name on a bus.
    name: Option<String>,
    /// The process that listens at the socket, if it is a socket.
    process: Option<Process>,
    patience: Patience,
}

impl Talk {
    /// Connects to the requested partition or, if none is named, to the only one that exists.
    pub(super) fn with(ask: &Ask) -> Result<Self, Failure> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().map_err(|e| broken(&e))?;
        let partition = ask.partition.as_deref();
        let patience = runtime.block_on(async { Patience::new(ask.timeout) });
        let patience = patience.map_err(|e| broken(&e))?;
        let process = OnceCell::new();
        let connecting = async {
            match &ask.bus {
                Some(bus) => on_bus(bus, partition).await,
                None => Ok((over_socket(partition, &process).await?, None)),
            }
        };
        let connected = runtime.block_on(patience.wait(patience.end(), connecting));
        let process = process.into_inner();
        let (connection, name) = match connected {
            Ok(connected) => connected?,
            Err(Over::Interrupted) => return Err(Failure::Interrupted(None)),
            Err(Over::Late) => {
                return Err(Failure::Silent(silent(process.as_ref(), patience.limit())));
            }
        };
        Ok(Self { runtime, connection, name, process, patience })
    }

    /// Calls a method that waits for no party, and waits for its reply.
    pub(super) fn call<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.call_until(self.patience.end(), method, arguments)
    }

    /// As [`call`](Self::call), for a command that asks again and again: each answer may take as long as the first.
    pub(super) fn call_again<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.call_until(Some(Instant::now() + self.patience.limit()), method, arguments)
    }

    /// Waits for this long. Returns false if Ctrl-C was pressed.
    pub(super) fn rest(&self, time: Duration) -> bool {
        let resting = async { self.patience.wait(None, tokio::time::sleep(time)).await };
        self.runtime.block_on(resting).is_ok()
    }

    fn call_until<R: Decode>(
        &self,
        until: Option<Instant>,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        self.runtime.block_on(async {
            match self.patience.wait(until, self.ask(method, arguments)).await {
                Ok(answer) => answer,
                Err(Over::Interrupted) => Err(Failure::Interrupted(None)),
                Err(Over::Late) => Err(self.silent().await),
            }
        })
    }

    /// Calls a method that waits for parties, for as long as these may take. Meanwhile the calls under way are regularly shown. If
    /// these cannot be had, the partition does not answer.
    pub(super) fn call_and_watch<R: Decode>(
        &self,
        method: &str,
        arguments: &impl Encode,
    ) -> Result<R, Failure> {
        let mut shown = Shown::default();
        // Until the partition has answered something, it is unknown whether it has read the request.
        let answers = Cell::new(false);
        let goes_on = || {
            let what = match answers.get() {
                true => "the request continues in the partition",
                false => "the partition may or may not carry out the request",
            };
            format!("{what}; `hotadd status` and `hotadd history` show its outcome")
        };
        let watching = async {
            tokio::time::sleep(FIRST).await;
            loop {
                let until = Instant::now() + self.patience.limit();
                match tokio::time::timeout_at(until, self.ask::<Vec<WaitingRow>>("GetWaiting", &()))
                    .await
                {
                    Ok(Ok(waiting)) => {
                        answers.set(true);
                        shown.waiting(&waiting);
                    }
                    // The answer is only for display. A refusal also shows that the partition answers.
                    Ok(Err(_)) => answers.set(true),
                    Err(_) => return self.silent().await,
                }
                tokio::time::sleep(EVERY).await;
            }
        };
        let answer = self.runtime.block_on(async {
            let answer = async {
                tokio::select! {
                    biased;
                    answer = self.ask(method, arguments) => answer,
                    silent = watching => Err(silent),
                }
            };
            match self.patience.wait(self.patience.end_with_parties(), answer).await {
                Ok(Err(Failure::Silent(why))) => {
                    let unknown = "the request may or may not have been carried out";
                    Err(Failure::Silent(format!("{why}; {unknown}")))
                }
                Ok(answer) => answer,
                Err(Over::Interrupted) => Err(Failure::Interrupted(Some(goes_on()))),
                Err(Over::Late) => {
                    let within = humantime::format_duration(self.patience.limit());
                    Err(Failure::Silent(format!("no answer within {within}; {}", goes_on())))
                }
            }
        });
        shown.clear();
        answer
    }

    /// The failure that the partition does not answer. A bus also tells which process it is.
    async fn silent(&self) -> Failure {
        let mut process = self.process.clone();
        if let Some(name) = &self.name {
            let asking = self.connection.call_bus::<u32>("GetConnectionUnixProcessID", name);
            let pid = tokio::time::timeout(FIRST, asking).await;
            let pid = pid.ok().and_then(Result::ok).and_then(|pid| i32::try_from(pid).ok());
            process = Some(Process { place: name.into(), pid: pid.unwrap_or(0) });
        }
        Failure::Silent(silent(process.as_ref(), self.patience.limit()))
    }

    /// A call. Allows the user to be asked for a password if the partition is a machine's.
    fn message(&self, method: &str, arguments: &impl Encode) -> Result<Message, MessageError> {
        let mut call = Outgoing::call(PARTITION_PATH, PARTITION, method)?;
        if let Some(name) = &self.name {
            call = call.for_service(name)?.interactive()?;
        }
        call.build(arguments)
    }

    async fn ask<R: Decode>(&self, method: &str, arguments: &impl Encode) -> Result<R, Failure> {
        let broke = |error: &dyn std::fmt::Display| {
            Failure::Broken(format!("the connection to the partition broke: {error}"))
        };
        let call = self.message(method, arguments).map_err(|error| broke(&error))?;
        let reply = self.connection.call(&call).await.map_err(|lost| match lost {
            Lost::Unsound(why) => {
                Failure::Broken(format!("the partition does not follow the protocol: {why}"))
            }
            lost => broke(&lost),
        })?;
        if reply.kind() == Kind::Reply {
            return reply.arguments().map_err(|error| {
                Failure::Broken(format!("the partition's answer to {method} is invalid: {error}"))
            });
        }
        let head = reply.head();
        let name = head.error_name();
        if name == NOBODY {
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

fn broken(error: &dyn std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

async fn over_socket(
    partition: Option<&str>,
    process: &OnceCell<Process>,
) -> Result<Connection, Failure> {
    let found = Found::of(partition)?;
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
    let unreachable = |error: &dyn std::fmt::Display| {
        Failure::Broken(format!("{bus} cannot be reached: {error}"))
    };
    let stream = bus.connect().and_then(UnixStream::from_std);
    let stream = stream.map_err(|error| unreachable(&Lost::from(error)))?;
    let connection = Connection::open(stream, Stream::of_bus()).await;
    let connection = connection.map_err(|lost| unreachable(&lost))?;
    let hello = connection.call_bus::<String>("Hello", &()).await;
    hello.map_err(|error| unreachable(&error))?;
    let name = match partition {
        // The name by which the list of several partitions shows it.
        Some(MACHINE_BUS_NAME) => MACHINE_BUS_NAME.to_owned(),
        Some(name) => bus_name(name),
        None => {
            let names = connection.call_bus::<Vec<String>>("ListNames", &()).await;
            let mut names = names.map_err(|e| broken(&e))?;
            let prefix = bus_name("");
            names.retain(|name| name.starts_with(&prefix) || name == MACHINE_BUS_NAME);
            names.sort();
            match names.as_slice() {
                [] => return Err(Failure::NoPartition(format!("there is no partition on {bus}"))),
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
        return format!("the machine's partition is not on that bus (as {name})");
    }
    let partition = name.trim_start_matches(&bus_name("")).to_owned();
    format!(
        "there is no partition {partition} on that bus (as {name}); `hotadd run --name {partition} --bus BUS` starts one"
    )
}
