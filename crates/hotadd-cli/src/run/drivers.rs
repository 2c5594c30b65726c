//! Registering a driver that the operator named: in this process, a program, or one in a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hotadd::{Error, Partition, Registration, RequiredParty, Sample, Status};
use hotadd_service::children::Start;
use hotadd_service::host::{Host, HostSpec, Kept, Register};
use hotadd_service::script::Script;
use hotadd_service::{Named, NotRegistered, Service};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use super::descriptors;
use super::fence::Fence;
use super::said::ToPeople;
use crate::spec::{DriverSpec, ExecSpec, FileSpec, SampleSpec, What};

/// How long a driver's process may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// A driver that is registered, or was. Dropping it deregisters it, and ends its process.
pub(crate) enum Driver {
    Here(Registration),
    /// In this process too, and registered again when it has crashed.
    Kept(Kept),
    /// In a process of its own, which may take so long to end.
    Host(Host, Duration),
}

impl Driver {
    /// How long ending it may take.
    pub(crate) const fn grace(&self) -> Duration {
        match self {
            Self::Host(_, grace) => *grace,
            Self::Here(_) | Self::Kept(_) => Duration::ZERO,
        }
    }

    /// Begins to end its process, if it has one of its own, and waits for nothing.
    pub(crate) fn begin_end(&self) {
        if let Self::Host(host, _) = self {
            host.end();
        }
    }

    /// Whether it has failed, and will not come back by itself.
    pub(crate) fn is_gone(&self) -> bool {
        match self {
            Self::Here(registration) => !registration.is_registered(),
            Self::Kept(kept) => kept.is_over(),
            Self::Host(host, _) => host.is_over(),
        }
    }
}

/// What all drivers of a run are registered with.
pub(crate) struct Terms {
    pub(crate) partition: Partition,
    /// What keeps processes to it.
    pub(crate) fence: Fence,
    /// What serves drivers in processes of their own, if there are any. They do not keep it alive.
    pub(crate) service: Option<Weak<Service>>,
    /// How long a party in another process may take over an answer unless it says so itself.
    pub(crate) timeout: Duration,
    /// Where what drivers of files say goes, with their names.
    pub(crate) heard: ToPeople,
}

/// What is different about hosts of one kind.
#[derive(Clone, Copy)]
struct Hosted {
    restarts: u32,
    grace: Duration,
    loads: bool,
}

impl Terms {
    /// Registers a driver. If the operator requires its party (L4), that is there when it is registered.
    pub(crate) fn register(
        &self,
        spec: &DriverSpec,
        required: Option<&Named>,
    ) -> Result<Driver, NotRegistered> {
        match &spec.what {
            What::Sample(SampleSpec { isolated: Some(restarts), .. }) => {
                let hosted = Hosted { restarts: *restarts, grace: GRACE, loads: false };
                self.host(spec, hosted, required)
            }
            What::File(file @ FileSpec { restarts, .. }) => {
                if let Some(why) = file.untrusted() {
                    let why = why.to_string();
                    return Err(NotRegistered::new(&spec.name, Status::UNSUCCESSFUL, why));
                }
                // Its unload may take as long as an answer, and its process says so if it does not end.
                let grace = self.time_limit(spec) + 3 * GRACE;
                self.host(spec, Hosted { restarts: *restarts, grace, loads: true }, required)
            }
            What::Sample(sample) => {
                let sample = sample.clone();
                let (partition, of) = (self.partition.clone(), spec.clone());
                let party = required.map(|named| named.party().clone());
                let register: Register = Box::new(move || {
                    let registering = party_of(&partition, &of, party.as_ref());
                    registering.register(sample_of(&sample)).map_err(|error| not(&of, &error))
                });
                self.here(spec, 0, required, register)
            }
            What::Exec(ExecSpec { path, restarts, later }) => {
                let later = *later;
                let (path, limit, start) = (path.clone(), self.time_limit(spec), self.start());
                let (partition, of) = (self.partition.clone(), spec.clone());
                let party = required.map(|named| named.party().clone());
                let register: Register = Box::new(move || {
                    let script = Script::new(&path).map_err(|error| {
                        NotRegistered::new(&of.name, Status::UNSUCCESSFUL, error.to_string())
                    })?;
                    let script = script.time_limit(limit).started_by(Arc::clone(&start));
                    let registering = party_of(&partition, &of, party.as_ref()).at_once();
                    let registering = if later { registering.later_only() } else { registering };
                    registering.register(script).map_err(|error| not(&of, &error))
                });
                self.here(spec, *restarts, required, register)
            }
        }
    }

    fn here(
        &self,
        spec: &DriverSpec,
        restarts: u32,
        required: Option<&Named>,
        register: Register,
    ) -> Result<Driver, NotRegistered> {
        let party = required.map(|named| named.party().clone());
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
        hosted: Hosted,
        required: Option<&Named>,
    ) -> Result<Driver, NotRegistered> {
        let Hosted { restarts, grace, loads } = hosted;
        if loads {
            // The driver's process may be this user's, as which it could look into this one's memory.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
        let service = self.service.as_ref().and_then(Weak::upgrade);
        let service = service.ok_or_else(|| {
            let why = "there is nothing that serves its process";
            NotRegistered::new(&spec.name, Status::DEVICE_NOT_READY, why.to_owned())
        })?;
        let time_limit = self.time_limit(spec);
        // Behind --, as the name of a file may begin like an option.
        let args = ["host", "--time-limit", &time_limit.as_millis().to_string(), "--", &spec.text];
        let (name, heard) = (spec.name.clone(), Arc::clone(&self.heard));
        let host = HostSpec {
            name: spec.name.clone(),
            // This very program, also after another has taken its place in the file system.
            program: PathBuf::from("/proc/self/exe"),
            args: args.map(Into::into).to_vec(),
            start: Some(self.start()),
            restarts,
            level: spec.level,
            time_limit,
            grace,
            loads,
            heard: Some(Arc::new(move |said| heard(&name, said))),
            required: required.cloned(),
        };
        let host = Host::start(&self.partition, &service, host)
            .map_err(|error| NotRegistered::new(&spec.name, error.status(), error.to_string()))?;
        // The end of a driver of a sample is waited for anyway.
        let grace = if loads { grace } else { Duration::ZERO };
        Ok(Driver::Host(host, grace))
    }

    /// How processes are started: on real processors where the partition runs. One that could run elsewhere would keep
    /// processors from being removed.
    fn start(&self) -> Start {
        let fence = self.fence.clone();
        Arc::new(move |command: &mut Command| {
            descriptors::give_back(command);
            fence.spawn(command)
        })
    }

    fn time_limit(&self, spec: &DriverSpec) -> Duration {
        spec.timeout.unwrap_or(self.timeout)
    }
}

fn party_of<'a>(
    partition: &'a Partition,
    spec: &'a DriverSpec,
    required: Option<&'a RequiredParty>,
) -> hotadd::Registering<'a> {
    let registering = partition.party(&spec.name).level(spec.level);
    match required {
        Some(party) => registering.required(party),
        None => registering,
    }
}

fn not(spec: &DriverSpec, error: &Error) -> NotRegistered {
    NotRegistered::new(&spec.name, error.status(), error.to_string())
}

/// The sample that a specification describes.
pub(crate) fn sample_of(spec: &SampleSpec) -> Sample {
    Sample::new().veto(spec.veto.clone()).delay(spec.delay)
}
