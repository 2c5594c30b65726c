//! Registering the drivers of the command line: those in this process, programs, and those in processes of their own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotadd::{Partition, Registration, Sample};
use hotadd_service::Service;
use hotadd_service::children::Start;
use hotadd_service::host::{Host, HostSpec};
use hotadd_service::script::Script;

use super::descriptors;
use super::fence::Fence;
use super::said::ToPeople;
use crate::spec::{DriverSpec, ExecSpec, FileSpec, SampleSpec, What};

/// How long a driver's process may take to end.
const GRACE: Duration = Duration::from_secs(1);

/// The drivers of a run. Dropping them deregisters them.
#[derive(Default)]
pub(crate) struct Drivers {
    here: Vec<Registration>,
    /// In processes of their own.
    hosts: Vec<Host>,
    /// The longest time that one of them may take to end.
    grace: Duration,
}

impl Drivers {
    /// How long ending those in processes of their own may take.
    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    pub(crate) fn push(&mut self, registration: Registration) {
        self.here.push(registration);
    }

    /// Begins to end those in processes of their own, and waits for none.
    pub(crate) fn begin_end(&self) {
        self.hosts.iter().for_each(Host::end);
    }

    /// Deregisters those in processes of their own, and ends the processes, all at once.
    pub(crate) fn end_hosts(&mut self) {
        self.begin_end();
        self.hosts.clear();
    }
}

/// What all drivers of a run are registered with.
pub(crate) struct Terms {
    pub(crate) partition: Partition,
    /// What keeps processes to it.
    pub(crate) fence: Fence,
    /// What serves drivers in processes of their own, if there are any.
    pub(crate) service: Option<Arc<Service>>,
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
    /// Registers all, in the order given.
    pub(crate) fn register(&self, specs: &[DriverSpec]) -> Result<Drivers, String> {
        let mut drivers = Drivers::default();
        for spec in specs {
            match &spec.what {
                What::Sample(SampleSpec { isolated: Some(restarts), .. }) => {
                    let hosted = Hosted { restarts: *restarts, grace: GRACE, loads: false };
                    drivers.hosts.push(self.host(spec, hosted)?);
                }
                What::File(FileSpec { restarts, .. }) => {
                    // Its unload may take as long as an answer, and its process says so if it does not end.
                    let grace = self.time_limit(spec) + 3 * GRACE;
                    drivers.grace = drivers.grace.max(grace);
                    let hosted = Hosted { restarts: *restarts, grace, loads: true };
                    drivers.hosts.push(self.host(spec, hosted)?);
                }
                What::Sample(sample) => {
                    let registered = self.party(spec).register(sample_of(sample));
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
                What::Exec(ExecSpec { path, later }) => {
                    let mut script = Script::new(path).map_err(|error| error.to_string())?;
                    script = script.time_limit(self.time_limit(spec)).started_by(self.start());
                    let party = self.party(spec).at_once();
                    let party = if *later { party.later_only() } else { party };
                    let registered = party.register(script);
                    drivers.push(registered.map_err(|error| error.to_string())?);
                }
            }
        }
        Ok(drivers)
    }

    /// Starts a process for a driver.
    fn host(&self, spec: &DriverSpec, hosted: Hosted) -> Result<Host, String> {
        let service = self.service.as_ref().ok_or("there is nothing that serves its process")?;
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
            restarts: hosted.restarts,
            time_limit,
            grace: hosted.grace,
            loads: hosted.loads,
            heard: Some(Arc::new(move |said| heard(&name, said))),
        };
        Host::start(&self.partition, service, host).map_err(|error| error.to_string())
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

    fn party<'a>(&'a self, spec: &'a DriverSpec) -> hotadd::Registering<'a> {
        self.partition.party(&spec.name).level(spec.level)
    }
}

/// The sample that a specification describes.
pub(crate) fn sample_of(spec: &SampleSpec) -> Sample {
    Sample::new().veto(spec.veto.clone()).delay(spec.delay)
}
