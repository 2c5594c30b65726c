//! The story of a finding, as the lines that a person reads. Terminals and JUnit show the same.

use hotadd::text::clean;

use super::totals::count;
use super::{Finding, Report, Step};

/// How many calls a story shows, of those that led to the finding.
const LAST: usize = 12;

/// A line of a story: what it is about, and its text. The lines of the calls are about nothing.
pub(super) struct Line {
    /// `what`, `place`, ...
    pub(super) label: &'static str,
    pub(super) text: String,
}

/// What happened, as a sentence without a full stop: `percpu.sys leaves one block of 128 bytes`.
pub(super) fn sentence(report: &Report, finding: &Finding) -> String {
    format!("{} {}", clean(report.module()), clean(&finding.what))
}

/// Where it was found: `failed-start, and in 2 other scenarios`.
pub(super) fn found_in(finding: &Finding) -> String {
    let scenario = clean(&finding.scenario);
    match finding.also {
        0 => scenario.into_owned(),
        also => format!("{scenario}, and in {}", count(also, "other scenario")),
    }
}

/// The step in one line.
pub(super) fn step(step: &Step) -> String {
    let text = clean(&step.text);
    match &step.place {
        Some(place) => format!("{:<8}  {text}, at {}", step.kind.word(), clean(&place.to_string())),
        None => format!("{:<8}  {text}", step.kind.word()),
    }
}

/// The last steps, and how many there are before them.
pub(super) fn last(steps: &[Step], most: usize) -> (usize, &[Step]) {
    let before = steps.len().saturating_sub(most);
    (before, &steps[before..])
}

/// The lines after the sentence. All of them are clean.
pub(super) fn lines(finding: &Finding) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |label, text: String| lines.push(Line { label, text });
    if let Some(place) = &finding.place {
        add("place", clean(&place.to_string()).into_owned());
    }
    if let Some(origin) = &finding.origin {
        add("made at", clean(&origin.to_string()).into_owned());
    }
    let (before, steps) = last(&finding.story, LAST);
    let mut label = "story";
    if before > 0 {
        add(label, format!("{} before", count(before, "step")));
        label = "";
    }
    for each in steps {
        add(label, step(each));
        label = "";
    }
    add("effect", finding.check.effect.to_owned());
    add("advice", finding.check.advice.to_owned());
    add("found in", found_in(finding));
    add("reproduce", clean(&finding.reproduce).into_owned());
    lines
}
