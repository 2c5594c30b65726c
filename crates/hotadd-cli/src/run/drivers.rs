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

use crate::spec::{DriverSpec, SampleSpec, What};

/// The drivers of a run. Dropping them deregisters them.
#[derive(Default)]
pub(crate) struct Drivers {
    here: Vec<Registration>,
    /// In processes of their own. Before what serves them: they are to take their leave.
    hosts: Vec<Host>,
    service: Option<Arc<Service>>,
}

impl Drivers {
    pub(crate) fn push(&mut self, registration: Registration) {
        self.here.push(registration);
    }

    /// Lets go of all without waiting for any: one of those in this process sits in its callback.
    pub(crate) fn abandon(mut self) {
        self.here.drain(..).for_each(std::mem::forget);
        // These are ended, whatever they do.
        self.hosts.clear();
        // It may wait for the callback as well.
        std::mem::forget(self.service.take());
    }
}

/// What all drivers of a run are registered with.
pub(crate) struct Terms {
    partition: Partition,
    /// How processes are started, where it matters on which processors.
    start: Option<Start>,
    /// How long a party in another process may take over an answer unless it says so itself.
    timeout: Duration,
}

impl Terms {
    /// On real processors, processes are started where the partition runs: one that could run elsewhere would keep processors
    /// from being removed.
    pub(crate) fn new(
        partition: Partition,
        affinity: Option<&Arc<Affinity>>,
        timeout: Duration,
    ) -> Self {
        let start = affinity.map(|affinity| {
            let affinity = Arc::clone(affinity);
            Arc::new(move |command: &mut Command| affinity.spawn(command)) as Start
        });
        Self { partition, start, timeout }
    }

    /// Registers all, in the order given.
    pub(crate) fn register(&self, specs: &[DriverSpec]) -> Result<Drivers, String> {
        let mut drivers = Drivers::default();
        for spec in specs {
            match &spec.what {
                What::Sample(SampleSpec { isolated: Some(restarts), .. }) => {
                    let host = self.host(spec, *restarts, &mut drivers)?;
                    drivers.hosts.push(host);
                }
                What::Sample(sample) => {
                    let registered = self.party(spec).register(sample_of(sample));
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
                What::Exec(path) => {
                    let mut script = Script::new(path).map_err(|error| error.to_string())?;
                    script = script.time_limit(self.time_limit(spec));
                    if let Some(start) = &self.start {
                        script = script.started_by(Arc::clone(start));
                    }
                    let registered = self.party(spec).at_once().register(script);
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
            }
        }
        Ok(drivers)
    }

    /// Starts a process for a driver; with the first, what serves them.
    fn host(
        &self,
        spec: &DriverSpec,
        restarts: u32,
        drivers: &mut Drivers,
    ) -> Result<Host, String> {
        let service = match &drivers.service {
            Some(service) => Arc::clone(service),
            None => {
                // Whom it disconnects, and why, is seen in the events.
                let service = Service::new(&self.partition, "run", Arc::new(|_| ()));
                let service = Arc::new(service.map_err(|error| error.to_string())?);
                Arc::clone(drivers.service.insert(service))
            }
        };
        let time_limit = self.time_limit(spec);
        let args = ["host", "--time-limit", &time_limit.as_millis().to_string(), &spec.text];
        let host = HostSpec {
            name: spec.name.clone(),
            // This very program, also after another has taken its place in the file system.
            program: PathBuf::from("/proc/self/exe"),
            args: args.map(Into::into).to_vec(),
            start: self.start.clone(),
            restarts,
            time_limit,
        };
        Host::start(&self.partition, &service, host).map_err(|error| error.to_string())
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
