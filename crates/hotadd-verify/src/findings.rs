//! [`Findings`]: one finding for each fault, in however many scenarios it was found, and the story that leads to it.

use std::collections::BTreeSet;

use crate::check::{CHECKS, Check};
use crate::report::{Finding, Step, StepKind};

/// How many steps a story has at most.
const STORY: usize = 12;

/// Findings, each with the scenarios in which it was found.
#[derive(Default)]
pub(crate) struct Findings(Vec<(Finding, BTreeSet<String>)>);

impl Findings {
    /// Adds a finding, or counts it for an earlier one that is about the same fault.
    pub(crate) fn add(&mut self, new: Finding, is_same: impl Fn(&Finding) -> bool) {
        let known = self.0.iter_mut().find(|(one, _)| one.check == new.check && is_same(one));
        match known {
            Some((one, scenarios)) => {
                scenarios.insert(new.scenario);
                one.also = scenarios.len() - 1;
            }
            None => {
                let scenarios = BTreeSet::from([new.scenario.clone()]);
                self.0.push((new, scenarios));
            }
        }
    }

    /// All findings, the most serious first. Those for which `is_last` holds come last.
    pub(crate) fn sorted(self, is_last: impl Fn(&Finding) -> bool) -> Vec<Finding> {
        let mut all: Vec<Finding> = self.0.into_iter().map(|(finding, _)| finding).collect();
        all.sort_by_key(|finding| {
            let order = CHECKS.iter().position(|check| check.id == finding.check.id);
            (is_last(finding), finding.check.severity, order)
        });
        all
    }
}

/// The check of this id. An id that no check has is one of a rule without a check of its own.
pub(crate) fn check(id: &str) -> &'static Check {
    Check::find(id).or_else(|| Check::find("misuse")).unwrap_or(&CHECKS[0])
}

/// The last steps, from the last thing that the scenario did. If there are too many, the first of these and the last ones. A call that was
/// made to fail before is told too. Equal steps in a row are told once.
pub(crate) fn story(steps: &[Step]) -> Vec<Step> {
    let act = steps.iter().rposition(|step| step.kind == StepKind::Act).unwrap_or(0);
    let mut story: Vec<Step> = Vec::new();
    let mut times = 1;
    for step in &steps[act..] {
        match story.last_mut() {
            Some(last) if is_again(last, step, times) => {
                times += 1;
                last.text = format!("{} ({times} times)", step.text);
            }
            _ => {
                times = 1;
                story.push(step.clone());
            }
        }
    }
    if story.len() > STORY {
        story.drain(1..story.len() - STORY + 1);
    }
    let is_failure = |step: &&Step| step.kind == StepKind::Injected;
    if !story.iter().any(|step| is_failure(&step)) {
        let failure = steps.iter().rfind(is_failure);
        story.splice(0..0, failure.cloned());
    }
    story
}

/// Whether a step is the same as the last one, which was told this many times.
fn is_again(last: &Step, step: &Step, times: usize) -> bool {
    let told =
        if times == 1 { step.text.clone() } else { format!("{} ({times} times)", step.text) };
    step.kind == StepKind::Call
        && (last.kind, &last.place) == (step.kind, &step.place)
        && last.text == told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(kind: StepKind, text: &str) -> Step {
        Step { micros: 0, kind, text: text.to_owned(), place: None }
    }

    #[test]
    fn a_story_begins_with_the_failure_and_tells_repeated_calls_once() {
        let mut steps =
            vec![step(StepKind::Act, "loads"), step(StepKind::Injected, "X is made to fail")];
        steps.push(step(StepKind::Act, "unloads"));
        steps.extend((0..30).map(|_| step(StepKind::Call, "memcpy")));
        steps.push(step(StepKind::Call, "ExFreePool"));
        steps.push(step(StepKind::Finding, "frees twice"));
        let told: Vec<String> = story(&steps).into_iter().map(|step| step.text).collect();
        let expected =
            ["X is made to fail", "unloads", "memcpy (30 times)", "ExFreePool", "frees twice"];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_long_story_keeps_its_first_and_its_last_steps() {
        let mut steps = vec![step(StepKind::Act, "adds")];
        steps.extend((0..40).map(|at| step(StepKind::Call, &format!("call {at}"))));
        let told = story(&steps);
        assert_eq!(told.len(), STORY);
        assert_eq!((&*told[0].text, &*told[STORY - 1].text), ("adds", "call 39"));
        assert_eq!(told[1].text, format!("call {}", 40 - STORY + 1));
        assert!(story(&[]).is_empty(), "nothing happened");
    }
}
