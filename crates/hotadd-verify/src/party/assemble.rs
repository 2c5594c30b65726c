//! Makes the report on a party: what several scenarios show together, and one finding for each fault.

use std::time::Duration;

use super::PartyOptions;
use crate::check::{CHECKS, Check};
use crate::findings::{self, Findings};
use crate::message::{Found, Played};
use crate::report::{Finding, Outcome, Report, Scenario, Step, StepKind};
use crate::scenario::Plain;

/// The checks that are applied to every party.
const ALWAYS: &[&str] = &[
    "never-registered",
    "registers-in-callback",
    "handle-misuse",
    "status-outside-start",
    "refuses-load",
    "refuses-all",
    "not-deregistered",
    "over-budget",
    "crash",
    "misuse",
];

/// The checks that need to know what a party keeps.
const OF_LEAKS: &[&str] =
    &["leak-after-failure", "leak-after-veto", "leak-after-refused-load", "leak-after-unload"];

/// The checks that are applied.
fn checks(options: &PartyOptions) -> Vec<&'static Check> {
    let leaks = options.outstanding.is_some();
    let is_applied =
        |check: &&Check| ALWAYS.contains(&check.id) || leaks && OF_LEAKS.contains(&check.id);
    CHECKS.iter().filter(is_applied).collect()
}

/// A scenario, and what happened in it.
pub(super) struct Done {
    pub(super) scenario: &'static Plain,
    pub(super) played: Played,
    pub(super) took: Duration,
}

/// Makes the report.
pub(super) fn report(subject: &str, options: &PartyOptions, mut results: Vec<Done>) -> Report {
    refusals(&mut results);
    let mut findings = Findings::default();
    for result in &results {
        for found in &result.played.found {
            let new = finding(found, result, options);
            // The reasons for not registering differ by set.
            let any_text = new.check.id == "refuses-load";
            let what = new.what.clone();
            findings.add(new, |one| any_text || one.what == what);
        }
    }
    Report {
        version: 1,
        subject: subject.to_owned(),
        seed: options.seed,
        depth: options.scenario.clone().unwrap_or_else(|| options.depth.word().to_owned()),
        scenarios: results.into_iter().map(scenario).collect(),
        checks: checks(options),
        findings: findings.sorted(|_| false),
        injected: Vec::new(),
        note: None,
    }
}

/// Findings about what the party decides, from all scenarios.
fn refusals(results: &mut [Done]) {
    let adds = || results.iter().flat_map(|result| &result.played.adds);
    let agrees = adds().any(|add| add.agreed);
    let decides = adds().next().is_some();
    let runs =
        |result: &Done| result.played.not_run.is_none() && result.played.refused_load.is_none();
    let loads = results.iter().any(runs);
    for result in results {
        let played = &mut result.played;
        let refusal = played.steps.iter().position(is_refusal).map(|at| at + 1);
        let mut find = |check: &str, what: String| {
            let step = refusal.unwrap_or(played.steps.len());
            let (check, otherwise) = (check.to_owned(), None);
            let found = Found { check, otherwise, what, place: None, origin: None, step };
            played.found.push(found);
        };
        if decides && !agrees && !played.adds.is_empty() {
            find("refuses-all", "refuses every processor, although nothing failed".to_owned());
        }
        let why = played.refused_load.take();
        match why {
            Some(why) if loads => find("refuses-load", format!("does not register: {why}")),
            Some(_) => find(
                "refuses-all",
                "refuses every processor, also each that was active before".to_owned(),
            ),
            None => {}
        }
    }
}

/// Whether the party refuses in this step.
fn is_refusal(step: &Step) -> bool {
    step.kind == StepKind::Notice && step.text.contains(super::recorder::REFUSES)
}

fn scenario(result: Done) -> Scenario {
    let Done { scenario, played, took } = result;
    let outcome = match played.not_run {
        _ if !played.found.is_empty() => Outcome::Failed,
        Some(why) => Outcome::NotRun(why),
        None => Outcome::Passed,
    };
    Scenario {
        name: scenario.name.to_owned(),
        title: scenario.title.to_owned(),
        outcome,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        steps: played.steps,
    }
}

fn finding(found: &Found, result: &Done, options: &PartyOptions) -> Finding {
    let end = found.step.min(result.played.steps.len());
    let (command, name) = (&options.command, result.scenario.name);
    let reproduce = match &**command {
        "" => format!("scenario {name}, seed {}", options.seed),
        command => format!("{command} --scenario {name} --seed {}", options.seed),
    };
    Finding {
        check: findings::check(&found.check),
        what: found.what.clone(),
        place: None,
        origin: None,
        scenario: name.to_owned(),
        also: 0,
        story: findings::story(&result.played.steps[..end]),
        reproduce,
    }
}
