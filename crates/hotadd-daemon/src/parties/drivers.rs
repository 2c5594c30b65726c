//! Registers a driver that the operator named: one in this process, a program, or one in a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotadd::{Error, Partition, Registration, RegistrationBuilder, RequiredParty, Status};
use hotadd_service::children::Start;
use hotadd_service::host::{Host, HostSpec, Kept, Output, Register};
use hotadd_service::script::Script;
use hotadd_service::{Named, NotRegistered, Service};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::descriptors;
use crate::spec::{DriverSpec, ExecSpec, SampleSpec, What};

/// How long a driver's process may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// A driver that is or was registered. Dropping it deregisters it and ends its process.
pub(super) enum Driver {
    Here(Registration),
    /// Also in this process; it is registered again after a crash.
    Kept(Kept),
    /// In a process of its own, with the time that the process may take to end.
    Host(Host, Duration),
}

impl Driver {
    /// How long ending it may take.
    pub(super) const fn grace(&self) -> Duration {
        match self {
            Self::Host(_, grace) => *grace,
            Self::Here(_) | Self::Kept(_) => Duration::ZERO,
        }
    }

    /// Tells its process to end, if it has one of its own. Does not wait.
    pub(super) fn begin_end(&self) {
        if let Self::Host(host, _) = self {
            host.end();
        }
    }

    /// Whether it has failed and will not register again by itself.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Here(registration) => !registration.is_registered(),
            Self::Kept(kept) => kept.is_over(),
            Self::Host(host, _) => host.is_over(),
        }
    }
}

/// Receives the output of drivers, with their names. May be called from any thread. It may block, and the driver waits for it.
pub type OutputSink = Arc<dyn Fn(&str, Output) + Send + Sync>;

/// What all drivers of a partition are registered with.
pub struct Terms {
    /// The partition.
    pub partition: Partition,
    /// How processes are started. On real processors they start where the partition runs: a process that could run elsewhere
    /// would keep processors from being removed.
    pub start: Start,
    /// The service for drivers in processes of their own, if there is one. The drivers do not keep it alive.
    pub service: Option<Weak<Service>>,
    /// The time limit of an answer of a party in another process, unless its specification has one.
    pub timeout: Duration,
    /// Receives the output of drivers in processes of their own.
    pub output: OutputSink,
}

impl Terms {
    /// Registers a driver. If the operator requires its party (L4), the party is present once it is registered.
    pub(super) fn register(
        &self,
        spec: &DriverSpec,
        required: Option<&Named>,
    ) -> Result<Driver, NotRegistered> {
        match &spec.what {
            What::Sample(SampleSpec { isolated: Some(restarts), .. }) => {
                self.host(spec, *restarts, required)
            }
            What::File(file) => {
                if let Some(why) = file.untrusted() {
                    let why = why.to_string();
                    return Err(NotRegistered::new(&spec.name, Status::UNSUCCESSFUL, why));
                }
                self.host(spec, file.restarts, required)
            }
            What::Sample(sample) => {
                let (sample, of) = (sample.clone(), spec.clone());
                self.here(spec, 0, required, move |registering| {
                    registering.register(sample.sample()).map_err(|error| not(&of, &error))
                })
            }
            What::Exec(ExecSpec { path, restarts, later }) => {
                let (later, limit, start) = (*later, self.time_limit(spec), self.start());
                let (path, of) = (path.clone(), spec.clone());
                self.here(spec, *restarts, required, move |registering| {
                    let script = Script::new(&path).map_err(|error| {
                        NotRegistered::new(&of.name, Status::UNSUCCESSFUL, error.to_string())
                    })?;
                    let script = script.time_limit(limit).started_by(Arc::clone(&start));
                    let registering = registering.at_once();
                    let registering =
                        if later { registering.without_replay() } else { registering };
                    registering.register(script).map_err(|error| not(&of, &error))
                })
            }
        }
    }

    /// Registers a driver of this process with `register`, which is given a builder with its name and level.
    fn here(
        &self,
        spec: &DriverSpec,
        restarts: u32,
        required: Option<&Named>,
        register: impl Fn(RegistrationBuilder<'_>) -> Result<Registration, NotRegistered>
        + Send
        + 'static,
    ) -> Result<Driver, NotRegistered> {
        let party = required.map(|named| named.party().clone());
        let (partition, of, required) = (self.partition.clone(), spec.clone(), party.clone());
        let register: Register = Box::new(move || {
            let registering = partition.registration(&of.name).level(of.level);
            register(match &required {
                Some(party) => registering.required(party),
                None => registering,
            })
        });
        if restarts > 0 {
            let kept = Kept::start(&self.partition, &spec.name, restarts, party, register);
            return kept.map(Driver::Kept);
        }
        let attempt = party.as_ref().map(RequiredParty::attempt);
        let registration = register()?;
        attempt.map(hotadd::Attempt::succeeded);
        Ok(Driver::Here(registration))
    }

    /// Starts a process for a driver.
    fn host(
        &self,
        spec: &DriverSpec,
        restarts: u32,
        required: Option<&Named>,
    ) -> Result<Driver, NotRegistered> {
        let loads = matches!(spec.what, What::File(_));
        if loads {
            // The driver's process may run as this user, and could then read this process's memory.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
        let service = self.service.as_ref().and_then(Weak::upgrade);
        let service = service.ok_or_else(|| {
            let why = "no service is running for its process";
            NotRegistered::new(&spec.name, Status::DEVICE_NOT_READY, why.to_owned())
        })?;
        let time_limit = self.time_limit(spec);
        // An unload may take as long as an answer. Its process reports an unload that does not end.
        let grace = if loads { time_limit + 3 * GRACE } else { GRACE };
        // After --, because a file's name may begin like an option.
        let args = ["host", "--time-limit", &time_limit.as_millis().to_string(), "--", &spec.text];
        let (name, output) = (spec.name.clone(), Arc::clone(&self.output));
        let host = HostSpec {
            name: spec.name.clone(),
            // This very program, even if its file has been replaced since.
            program: PathBuf::from("/proc/self/exe"),
            args: args.map(Into::into).to_vec(),
            start: Some(self.start()),
            restarts,
            level: spec.level,
            time_limit,
            grace,
            loads,
            on_output: Some(Arc::new(move |line| output(&name, line))),
            required: required.cloned(),
        };
        let host = Host::start(&self.partition, &service, host)
            .map_err(|error| NotRegistered::new(&spec.name, error.status(), error.to_string()))?;
        // The end of a sample's driver is waited for in any case, so it adds no grace.
        let grace = if loads { grace } else { Duration::ZERO };
        Ok(Driver::Host(host, grace))
    }

    /// How processes are started: with the descriptor limit that this process began with.
    fn start(&self) -> Start {
        let start = Arc::clone(&self.start);
        Arc::new(move |command: &mut Command| {
            descriptors::give_back(command);
            start(command)
        })
    }

    fn time_limit(&self, spec: &DriverSpec) -> Duration {
        spec.timeout.unwrap_or(self.timeout)
    }
}

fn not(spec: &DriverSpec, error: &Error) -> NotRegistered {
    NotRegistered::new(&spec.name, error.status(), error.to_string())
}
