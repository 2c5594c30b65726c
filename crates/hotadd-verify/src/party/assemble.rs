//! Makes the report on a party: what several scenarios show together, and one finding for each fault.

use std::time::Duration;

use super::PartyOptions;
use crate::check::{CHECKS, Check};
use crate::message::{Found, Played};
use crate::report::{Finding, Outcome, Report, Scenario, Step, StepKind};
use crate::scenario::Plain;

/// How many steps a finding's story has at most.
const STORY: usize = 12;

/// A scenario, and what happened in it.
pub(super) struct Result_ {
    pub(super) scenario: &'static Plain,
    pub(super) played: Played,
    pub(super) took: Duration,
}

/// Makes the report.
pub(super) fn report(subject: &str, options: &PartyOptions, mut results: Vec<Result_>) -> Report {
    refusals(&mut results);
    let mut findings: Vec<Finding> = Vec::new();
    for result in &results {
        for found in &result.played.found {
            add(&mut findings, finding(found, result, options));
        }
    }
    findings.sort_by_key(|finding| {
        let order = CHECKS.iter().position(|check| check.id == finding.check.id);
        (finding.check.severity, order)
    });
    Report {
        version: 1,
        subject: subject.to_owned(),
        seed: options.seed,
        depth: options.scenario.clone().unwrap_or_else(|| options.depth.word().to_owned()),
        scenarios: results.into_iter().map(scenario).collect(),
        findings,
        injected: Vec::new(),
        note: None,
    }
}

/// Findings about what the party decides, from all scenarios.
fn refusals(results: &mut [Result_]) {
    let adds = || results.iter().flat_map(|result| &result.played.adds);
    let agrees = adds().any(|add| add.agreed);
    let decides = adds().next().is_some();
    let runs =
        |result: &Result_| result.played.not_run.is_none() && result.played.refused_load.is_none();
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

fn scenario(result: Result_) -> Scenario {
    let Result_ { scenario, played, took } = result;
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

fn finding(found: &Found, result: &Result_, options: &PartyOptions) -> Finding {
    let check = Check::find(&found.check).or_else(|| Check::find("misuse")).unwrap_or(&CHECKS[0]);
    let end = found.step.min(result.played.steps.len());
    let (command, name) = (&options.command, result.scenario.name);
    let reproduce = match &**command {
        "" => format!("scenario {name}, seed {}", options.seed),
        command => format!("{command} --scenario {name} --seed {}", options.seed),
    };
    Finding {
        check,
        what: found.what.clone(),
        place: None,
        origin: None,
        scenario: name.to_owned(),
        also: 0,
        story: story(&result.played.steps[..end]),
        reproduce,
    }
}

/// The last steps, from the last thing that the scenario did.
fn story(steps: &[Step]) -> Vec<Step> {
    let act = steps.iter().rposition(|step| step.kind == StepKind::Act).unwrap_or(0);
    let last = &steps[act..];
    match last {
        [first, .., _] if last.len() > STORY => {
            let end = &last[last.len() - STORY + 1..];
            std::iter::once(first).chain(end).cloned().collect()
        }
        _ => last.to_vec(),
    }
}

/// Adds a finding, or counts it for an earlier one about the same fault. The reasons for not registering differ by set.
fn add(findings: &mut Vec<Finding>, new: Finding) {
    let same = |one: &&mut Finding| {
        one.check == new.check && (one.what == new.what || new.check.id == "refuses-load")
    };
    match findings.iter_mut().find(same) {
        Some(one) if one.scenario == new.scenario => {}
        Some(one) => one.also += 1,
        None => findings.push(new),
    }
}
