//! Where the daemon is reached and by whom: its socket, the group that may use it, and the message bus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotadd_service::{Access, AccessError, BusAddress, PlaceError, check_place};
use rustix::process::geteuid;

use super::RUN;
use super::config::{Bus, Config, Kind, Text};
use super::manager::Manager;
use crate::view::Weight;

/// The partition's name unless another is configured.
const NAME: &str = "system";

/// The group whose members may do everything, unless another is configured.
const GROUP: &str = "hotadd";

/// How long the start waits for the bus before the daemon reports ready. An available bus answers in milliseconds.
const FOR_THE_BUS: Duration = Duration::from_secs(1);

impl Config {
    /// Whether this is the machine's own daemon, of which there is one: it is root's, unless it is a simulation at a socket of
    /// its own.
    fn is_the_machines(&self) -> bool {
        let pretends = self.hardware.kind == Kind::Simulated && self.service.socket.is_some();
        geteuid().is_root() && !pretends
    }

    /// The partition's name.
    pub(super) fn name(&self) -> &str {
        self.service.name.as_ref().map_or(NAME, |name| &name.0.0)
    }

    /// The file of the trace.
    pub(super) fn trace(&self) -> Option<&Path> {
        self.service.trace.as_ref().map(|trace| trace.0.0.as_path())
    }

    /// The path of its socket. Only root's is in the machine's folder.
    pub(super) fn socket(&self) -> PathBuf {
        match &self.service.socket {
            Some(socket) => socket.0.0.clone(),
            None if geteuid().is_root() => Path::new(RUN).join(self.name()),
            None => hotadd_service::runtime_dir().join(self.name()),
        }
    }

    /// The access rules. Also returns why they are narrower than usual, where the group is missing.
    fn access(&self) -> (Access, Option<AccessError>) {
        if let Some(group) = &self.service.group {
            return (group.0.0.clone(), None);
        }
        if !self.is_the_machines() {
            return (Access::own(), None);
        }
        match Access::machine(GROUP) {
            Ok(access) => (access, None),
            Err(error) => (Access::machine_without_group(), Some(error)),
        }
    }

    /// Checks whether the daemon could listen at its socket.
    pub(super) fn check_place(&self) -> Result<(), PlaceError> {
        check_place(&self.socket(), &self.access().0)
    }
}

impl Manager {
    /// The access rules. Logs it if they are narrower than they could be.
    pub(super) fn access(&self) -> Access {
        let (access, missing) = self.config.access();
        if let Some(error) = missing {
            let alone = format!(
                "the access of the group cannot be set, so only root may connect to the \
             socket: {error}"
            );
            let weight = match error {
                AccessError::NoGroup(_) => Weight::Plain,
                _ => Weight::Bad,
            };
            self.log.line(weight, &alone);
        }
        access
    }

    /// The message bus to join.
    fn bus(&self) -> Option<BusAddress> {
        match self.config.service.bus.as_ref().map(|bus| &bus.0) {
            Some(Bus::None) => None,
            Some(Bus::On(address)) => Some(address.clone()),
            None => self.config.is_the_machines().then_some(BusAddress::System),
        }
    }

    /// Listens, and joins the bus; if the bus is not there yet, it is joined later. Returns where the daemon is reached.
    pub(super) fn be_found(&self) -> Result<String, String> {
        let socket = self.config.socket();
        let mut found = format!("listening at {}", socket.display());
        let Some(service) = &self.service else { return Ok(found) };
        service.open(&socket).map_err(|error| error.to_string())?;
        if let Some(Text(address)) = &self.config.service.metrics {
            let place = service.serve_metrics(address).map_err(|error| error.to_string())?;
            found += &format!(", with metrics at {place}");
        }
        if let Some(address) = self.bus() {
            let joined = service.join_bus_when_there(&address, FOR_THE_BUS);
            if joined.map_err(|error| error.to_string())? {
                found += &format!(" and on {address}");
            }
        }
        Ok(found)
    }
}
