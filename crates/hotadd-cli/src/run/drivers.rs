//! Registering the drivers of the command line: those in this process, programs, and those in processes of their own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotadd::hardware::Affinity;
use hotadd::{Partition, Registration, Sample};
use hotadd_service::Service;
use hotadd_service::children::Start;
use hotadd_service::host::{Host, HostSpec};
use hotadd_service::script::Script;

use super::descriptors;
use crate::spec::{DriverSpec, SampleSpec, What};

/// The drivers of a run. Dropping them deregisters them.
#[derive(Default)]
pub(crate) struct Drivers {
    here: Vec<Registration>,
    /// In processes of their own.
    hosts: Vec<Host>,
}

impl Drivers {
    pub(crate) fn push(&mut self, registration: Registration) {
        self.here.push(registration);
    }

    /// Deregisters those in processes of their own, and ends the processes, all at once.
    pub(crate) fn end_hosts(&mut self) {
        self.hosts.iter().for_each(Host::end);
        self.hosts.clear();
    }
}

/// What all drivers of a run are registered with.
pub(crate) struct Terms {
    pub(crate) partition: Partition,
    /// The masks, when the processors are real.
    pub(crate) affinity: Option<Arc<Affinity>>,
    /// What serves drivers in processes of their own, if there are any.
    pub(crate) service: Option<Arc<Service>>,
    /// How long a party in another process may take over an answer unless it says so itself.
    pub(crate) timeout: Duration,
}

impl Terms {
    /// Registers all, in the order given.
    pub(crate) fn register(&self, specs: &[DriverSpec]) -> Result<Drivers, String> {
        let mut drivers = Drivers::default();
        for spec in specs {
            match &spec.what {
                What::Sample(SampleSpec { isolated: Some(restarts), .. }) => {
                    let host = self.host(spec, *restarts)?;
                    drivers.hosts.push(host);
                }
                What::Sample(sample) => {
                    let registered = self.party(spec).register(sample_of(sample));
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
                What::Exec(path) => {
                    let mut script = Script::new(path).map_err(|error| error.to_string())?;
                    script = script.time_limit(self.time_limit(spec)).started_by(self.start());
                    let registered = self.party(spec).at_once().register(script);
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
            }
        }
        Ok(drivers)
    }

    /// Starts a process for a driver.
    fn host(&self, spec: &DriverSpec, restarts: u32) -> Result<Host, String> {
        let service = self.service.as_ref().ok_or("there is nothing that serves its process")?;
        let time_limit = self.time_limit(spec);
        let args = ["host", "--time-limit", &time_limit.as_millis().to_string(), &spec.text];
        let host = HostSpec {
            name: spec.name.clone(),
            // This very program, also after another has taken its place in the file system.
            program: PathBuf::from("/proc/self/exe"),
            args: args.map(Into::into).to_vec(),
            start: Some(self.start()),
            restarts,
            time_limit,
        };
        Host::start(&self.partition, service, host).map_err(|error| error.to_string())
    }

    /// How processes are started: on real processors where the partition runs. One that could run elsewhere would keep
    /// processors from being removed.
    fn start(&self) -> Start {
        let affinity = self.affinity.clone();
        Arc::new(move |command: &mut Command| {
            descriptors::give_back(command);
            match &affinity {
                Some(affinity) => affinity.spawn(command),
                None => command.spawn(),
            }
        })
    }

    fn time_limit(&self, spec: &DriverSpec) -> Duration {
        spec.timeout.unwrap_or(self.timeout)
    }

    fn party<'a>(&'a self, spec: &'a DriverSpec) -> hotadd::Registering<'a> {
        self.partition.party(&spec.name).level(spec.level)
    }
}

/// The sample that a specification describes.
pub(crate) fn sample_of(spec: &SampleSpec) -> Sample {
    Sample::new().veto(spec.veto.clone()).delay(spec.delay)
}
