//! Registering the drivers of the command line: those in this process, programs, and those in processes of their own.

use std::sync::Arc;
use std::time::Duration;

use hotadd::hardware::Affinity;
use hotadd::{Partition, Registration, Sample};
use hotadd_service::children::Start;
use hotadd_service::script::Script;

use crate::spec::{DriverSpec, SampleSpec, What};

/// What all drivers of a run are registered with.
pub(crate) struct Terms {
    pub(crate) partition: Partition,
    /// How processes are started, where it matters on which processors.
    pub(crate) start: Option<Start>,
    /// How long a party in another process may take over an answer unless it says so itself.
    pub(crate) timeout: Duration,
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
            Arc::new(move |command: &mut std::process::Command| affinity.spawn(command)) as Start
        });
        Self { partition, start, timeout }
    }

    /// Registers a driver.
    pub(crate) fn register(&self, spec: &DriverSpec) -> Result<Registration, String> {
        let registered = match &spec.what {
            What::Sample(sample) if sample.isolated.is_some() => {
                return Err("a driver in a process of its own needs a service".to_owned());
            }
            What::Sample(sample) => self.party(spec).register(sample_of(sample)),
            What::Exec(path) => {
                let mut script = Script::new(path).map_err(|error| error.to_string())?;
                script = script.time_limit(spec.timeout.unwrap_or(self.timeout));
                if let Some(start) = &self.start {
                    script = script.started_by(Arc::clone(start));
                }
                self.party(spec).at_once().register(script)
            }
        };
        registered.map_err(|error| error.to_string())
    }

    fn party<'a>(&'a self, spec: &'a DriverSpec) -> hotadd::Registering<'a> {
        self.partition.party(&spec.name).level(spec.level)
    }
}

/// The sample that a specification describes.
pub(crate) fn sample_of(spec: &SampleSpec) -> Sample {
    Sample::new().veto(spec.veto.clone()).delay(spec.delay)
}
