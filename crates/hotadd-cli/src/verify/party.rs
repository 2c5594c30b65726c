//! A driver that is not a file: a sample, or a program. It is registered as `hotadd run --driver` registers it, on simulated
//! processors.

use std::sync::Arc;

use hotadd::Partition;
use hotadd_daemon::parties::Alone;
use hotadd_daemon::spec::{ExecSpec, SampleSpec, What};
use hotadd_verify::party::{PartyOptions, Start, verify_party};
use hotadd_verify::report::{Outcome, Report, Scenario};

use super::bar::Bar;
use super::{command, depth, refuse};
use crate::args::Verify;

pub(super) fn verified(args: &Verify) -> Result<Report, String> {
    let spec = args.driver.clone();
    let (restarts, is_apart) = match &spec.what {
        What::Sample(SampleSpec { isolated, .. }) => (isolated.unwrap_or(0), isolated.is_some()),
        What::Exec(ExecSpec { restarts, .. }) => (*restarts, true),
        What::File(_) => (0, true),
    };
    if restarts > 0 {
        refuse("restart", "a driver that fails is reported, and not started again")?;
    }
    if spec.when_missing.is_some() {
        refuse("when-missing", "a driver that fails is reported, and nothing is added without it")?;
    }
    let time_limit = spec.timeout.unwrap_or(args.timeout);
    let options = PartyOptions {
        depth: depth(args),
        scenario: args.scenario.clone(),
        seed: args.seed,
        time_limit,
        command: command(args),
        is_apart,
        outstanding: None,
    };
    let subject = spec.text.clone();
    let start: Start = Arc::new(move |partition: &Partition| {
        Ok(Box::new(Alone::begin(partition, &spec, time_limit)?))
    });
    let mut bar = Bar::new();
    let report = verify_party(&subject, &options, &start, |progress| bar.show(progress));
    bar.clear();
    let report = report.map_err(|error| error.to_string())?;
    never_began(&report).map_or(Ok(()), Err)?;
    Ok(report)
}

/// Why the driver could never be registered. That is one error, and not one for each scenario.
fn never_began(report: &Report) -> Option<String> {
    let why = |scenario: &Scenario| match &scenario.outcome {
        Outcome::NotRun(why) => Some(why.clone()),
        _ => None,
    };
    let first = why(report.scenarios.first()?)?;
    report.scenarios.iter().all(|scenario| why(scenario).as_ref() == Some(&first)).then_some(first)
}
