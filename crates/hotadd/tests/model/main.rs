//! Random histories against a reference model that was written from the contract alone (`docs/contract.md`) and, for
//! parties that are asked at once, from the rule that heads `hotadd_core`'s `transaction::together`.
//!
//! `PROPTEST_CASES=100000 cargo test --release --test model` looks longer.
#![cfg(not(hotadd_loom))]

mod calling;
mod changing;
mod driver;
mod histories;
mod history;
mod journal;
mod pairs;
mod reference;
mod run;

use std::collections::BTreeMap;

use hotadd::State;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use journal::{Entry, Failure, Outcome};

/// Failures once found, tried first in every run.
const REGRESSIONS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/proptest-regressions.txt");

#[test]
fn a_partition_behaves_like_the_model_of_the_contract() {
    let config = Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(REGRESSIONS))),
        max_shrink_iters: 50_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&histories::history(), |history| {
        run::run(&history).map(drop).map_err(TestCaseError::fail)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Whatever never happens in a history is not tested.
#[test]
fn every_kind_of_event_happens_in_some_history() {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..1200 {
        let history = histories::history().new_tree(&mut runner).unwrap().current();
        for (outcome, journal, remarks) in run::run(&history).unwrap() {
            let kinds = kinds(&outcome).into_iter().chain(journal.iter().map(kind));
            for what in kinds.chain(remarks) {
                *seen.entry(what).or_default() += 1;
            }
        }
    }
    let wanted = [
        "registered",
        "registering vetoed",
        "registering crashed",
        "deregistered",
        "deregistered late",
        "changed",
        "add vetoed",
        "remove vetoed",
        "add failed",
        "remove failed",
        "stuck",
        "not addable",
        "not removable",
        "rehearsed, all agreed",
        "rehearsed, some refused",
        "not rehearsed",
        "deregistered inside",
        "refused inside",
        "surprise",
        "begun and not heard",
        "crash when begun with",
        "touched",
        "switched while parties are asked",
        "an intruder waits",
    ];
    let wanted = wanted.into_iter().map(str::to_owned);
    let calls = State::ALL.into_iter().flat_map(|state| {
        let more = ["begin", "run of three", "crash in a run", "answered as crashed"];
        let vetoes = ["refusal inside a run", "two refusals in a run"];
        let vetoes = vetoes.into_iter().filter(move |_| state.may_veto());
        let more = more.into_iter().chain(vetoes).map(move |what| format!("{state}: {what}"));
        more.chain([state.name().to_owned()])
    });
    for what in wanted.chain(calls) {
        assert!(seen.get(&what).is_some_and(|n| *n >= 4), "too few of {what}: {seen:#?}");
    }
}

fn kinds(outcome: &Outcome) -> Vec<String> {
    let name = match outcome {
        Outcome::Done | Outcome::Deregistered(None) => return Vec::new(),
        Outcome::Registered(Ok(())) => "registered".to_owned(),
        Outcome::Registered(Err(Failure::Crashed { .. })) => "registering crashed".to_owned(),
        Outcome::Registered(Err(_)) => "registering vetoed".to_owned(),
        Outcome::Deregistered(Some(true)) => "deregistered".to_owned(),
        Outcome::Deregistered(Some(false)) => "deregistered late".to_owned(),
        Outcome::Rehearsed(Err(_)) => "not rehearsed".to_owned(),
        Outcome::Rehearsed(Ok(answers)) if answers.iter().all(|(_, a)| a.is_ok()) => {
            "rehearsed, all agreed".to_owned()
        }
        Outcome::Rehearsed(Ok(_)) => "rehearsed, some refused".to_owned(),
        Outcome::Changed(results) => {
            return results.iter().map(|(_, result)| change(result.as_ref().err())).collect();
        }
    };
    vec![name]
}

fn change(failure: Option<&Failure>) -> String {
    match failure {
        None => "changed".to_owned(),
        Some(Failure::Vetoed { action, .. }) => format!("{action} vetoed"),
        Some(Failure::Platform { action, .. }) => format!("{action} failed"),
        Some(Failure::Stuck { .. }) => "stuck".to_owned(),
        Some(Failure::NotAddable(_)) => "not addable".to_owned(),
        Some(Failure::NotRemovable(_)) => "not removable".to_owned(),
        Some(Failure::Touched { .. }) => "touched".to_owned(),
        Some(other) => format!("{other:?}"),
    }
}

fn kind(entry: &Entry) -> String {
    match entry {
        Entry::Begin { told, .. } => format!("{}: begin", told.state),
        Entry::Call { told, .. } if told.surprise => "surprise".to_owned(),
        Entry::Call { told, .. } => told.state.name().to_owned(),
        Entry::Deregistered { was: None, .. } => "deregistered nobody".to_owned(),
        Entry::Deregistered { .. } => "deregistered inside".to_owned(),
        Entry::Refused { .. } => "refused inside".to_owned(),
    }
}
