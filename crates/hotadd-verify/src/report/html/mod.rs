//! The report as a page for a browser: one file without scripts, which loads nothing.

mod timeline;

use std::borrow::Cow;
use std::io::{self, Write};

use hotadd::text::clean;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::totals::count;
use super::{Finding, Injected, Outcome, Report, Scenario, Totals, story};
use crate::check::{Check, Severity};

/// The page's style.
const STYLE: &str = include_str!("style.css");

/// What the page may do: have exactly this style. It must be changed with the style; a test says what it must be.
const POLICY: &str = "default-src 'none'; style-src 'sha256-lZHelPM/zY0wm4Q4TW4vSqCB5+3mNMbD7V5ioPSHXlA='; base-uri 'none'; form-action 'none'";

/// Writes the report as HTML.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", page(report).into_string())
}

fn page(report: &Report) -> Markup {
    let totals = Totals::of(report);
    let failed = |each: &&(usize, &Scenario)| each.1.outcome == Outcome::Failed;
    let scenarios: Vec<(usize, &Scenario)> = report.scenarios.iter().enumerate().collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (clean(report.module())) ": " (totals.findings()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report, &totals))
                main {
                    section aria-labelledby="checks" { (checks(report)) }
                    @if !report.findings.is_empty() {
                        section aria-labelledby="findings" {
                            h2 id="findings" { "Findings" }
                            @for (at, found) in report.findings.iter().enumerate() {
                                (finding(report, at + 1, found))
                            }
                        }
                    }
                    @if scenarios.iter().any(|each| failed(&each)) {
                        section aria-labelledby="timelines" {
                            h2 id="timelines" { "Scenarios that failed, step by step" }
                            @for (at, scenario) in scenarios.iter().filter(failed) {
                                (timeline::timeline(at + 1, scenario))
                            }
                        }
                    }
                    section aria-labelledby="injected" { (injected(report, &totals)) }
                    section aria-labelledby="scenarios" { (list(report)) }
                }
                footer {
                    @if let Some(note) = &report.note {
                        p { "Note: " (clean(note)) }
                    }
                    p { "hotadd verify " (env!("CARGO_PKG_VERSION")) }
                }
            }
        }
    }
}

/// The driver, the verdict and the numbers.
fn head(report: &Report, totals: &Totals) -> Markup {
    let (class, verdict) = match report.worst() {
        Some(Severity::Error) => ("error", totals.findings()),
        Some(Severity::Warning) => ("warning", totals.findings()),
        None if totals.not_run > 0 => {
            ("warning", format!("nothing found, but {} not run", count(totals.not_run, "scenario")))
        }
        None => ("ok", "nothing found".to_owned()),
    };
    html! {
        header {
            h1 { code { (clean(report.module())) } " and processor changes" }
            p class=(format!("verdict {class}")) { (verdict) }
            dl class="numbers" {
                div { dt { "driver" } dd { code { (clean(&report.subject)) } } }
                div { dt { "scenarios" } dd { (scenarios(totals)) } }
                div { dt { "checks" } dd { (totals.checks - totals.violated) " passed, " (totals.violated) " failed" } }
                div { dt { "depth" } dd { (clean(&report.depth)) } }
                div { dt { "seed" } dd { (report.seed) } }
            }
        }
    }
}

fn scenarios(totals: &Totals) -> Markup {
    html! {
        (totals.passed) " passed, " (totals.failed) " failed"
        @if totals.not_run > 0 { ", " (totals.not_run) " not run" }
    }
}

/// The checks with their verdicts: those that failed, and folded those that passed.
fn checks(report: &Report) -> Markup {
    let (failed, passed): (Vec<&Check>, Vec<&Check>) =
        report.checks.iter().copied().partition(|check: &&Check| report.of(check).next().is_some());
    html! {
        h2 id="checks" { "Checks" }
        @if !failed.is_empty() { (check_table(report, &failed)) }
        @if !passed.is_empty() {
            details open[failed.is_empty()] {
                summary { span class="badge ok" { "ok" } " " (count(passed.len(), "check")) }
                (check_table(report, &passed))
            }
        }
    }
}

fn check_table(report: &Report, checks: &[&Check]) -> Markup {
    let findings = |check: &Check| {
        let all = report.findings.iter().enumerate();
        all.filter(|(_, found)| found.check.id == check.id)
            .map(|(at, _)| at + 1)
            .collect::<Vec<_>>()
    };
    html! {
        div class="wide" tabindex="0" role="group" aria-labelledby="checks" {
            table {
                thead { tr { th scope="col" { "verdict" } th scope="col" { "check" } th scope="col" { "the driver …" } th scope="col" { "rule" } } }
                tbody {
                    @for check in checks {
                        @let findings = findings(check);
                        tr {
                            td {
                                @if findings.is_empty() {
                                    span class="badge ok" { "ok" }
                                } @else {
                                    span class=(format!("badge {}", check.severity.word())) { (check.severity.word()) }
                                }
                                @for number in findings { " " a href=(format!("#finding-{number}")) { (number) } }
                            }
                            td { code { (check.id) } }
                            td { (check.title) }
                            td { (check.rule) }
                        }
                    }
                }
            }
        }
    }
}

/// A finding with its story.
fn finding(report: &Report, number: usize, finding: &Finding) -> Markup {
    let check = finding.check;
    let scenario = report.scenarios.iter().position(|each| each.name == finding.scenario);
    let scenario = scenario.filter(|&at| report.scenarios[at].outcome == Outcome::Failed);
    html! {
        article id=(format!("finding-{number}")) class=(check.severity.word()) {
            h3 {
                (number) ". " code { (check.id) } " "
                span class=(format!("badge {}", check.severity.word())) { (check.severity.word()) }
            }
            p class="what" { (story::sentence(report, finding)) "." }
            dl {
                @if let Some(place) = &finding.place {
                    dt { "where" } dd { code { (shown(place)) } }
                }
                @if let Some(origin) = &finding.origin {
                    dt { "made at" } dd { code { (shown(origin)) } }
                }
                dt { "rule" } dd { (check.rule) ": the driver " (check.title) }
                dt { "effect" } dd { (check.effect) }
                dt { "what to do" } dd { (check.advice) }
                dt { "found in" }
                dd {
                    @if let Some(at) = scenario {
                        a href=(format!("#scenario-{}", at + 1)) { (clean(&finding.scenario)) }
                    } @else {
                        (clean(&finding.scenario))
                    }
                    @if finding.also > 0 { ", and in " (count(finding.also, "other scenario")) }
                }
                dt { "reproduce" } dd { pre { code { (clean(&finding.reproduce)) } } }
            }
            @if !finding.story.is_empty() {
                details open {
                    summary { "The calls that led to it" }
                    (timeline::steps(&finding.story))
                }
            }
        }
    }
}

/// Which injected failures were reached.
fn injected(report: &Report, totals: &Totals) -> Markup {
    let missed: Vec<&Injected> = report.not_reached().collect();
    html! {
        h2 id="injected" { "Injected failures" }
        p {
            @if report.injected.is_empty() {
                "No call was made to fail."
            } @else {
                (totals.reached) " of " (report.injected.len()) " were reached."
                @if !missed.is_empty() { " Where the driver did not make the call again, its failure is untested:" }
            }
        }
        @if !missed.is_empty() {
            div class="wide" tabindex="0" role="group" aria-labelledby="injected" {
                table {
                    thead { tr { th scope="col" { "function" } th scope="col" { "call" } th scope="col" { "phase" } th scope="col" { "scenario" } } }
                    tbody {
                        @for each in missed {
                            tr {
                                td { code { (clean(&each.function)) } }
                                td { code { (shown(&each.place)) } }
                                td { (clean(&each.phase)) }
                                td { (clean(&each.scenario)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// All scenarios.
fn list(report: &Report) -> Markup {
    html! {
        h2 id="scenarios" { "All scenarios" }
        div class="wide" tabindex="0" role="group" aria-labelledby="scenarios" {
            table {
                thead { tr { th scope="col" { "verdict" } th scope="col" { "scenario" } th scope="col" { "what it does" } th scope="col" class="right" { "ms" } } }
                tbody {
                    @for (at, scenario) in report.scenarios.iter().enumerate() {
                        tr {
                            td { (verdict(&scenario.outcome)) }
                            td {
                                @if scenario.outcome == Outcome::Failed {
                                    a href=(format!("#scenario-{}", at + 1)) { code { (clean(&scenario.name)) } }
                                } @else {
                                    code { (clean(&scenario.name)) }
                                }
                            }
                            td {
                                (clean(&scenario.title))
                                @if let Outcome::NotRun(why) = &scenario.outcome { p class="why" { (clean(why)) } }
                            }
                            td class="right" { (scenario.millis) }
                        }
                    }
                }
            }
        }
    }
}

fn verdict(outcome: &Outcome) -> Markup {
    let (class, word) = match outcome {
        Outcome::Passed => ("ok", "ok"),
        Outcome::Failed => ("error", "failed"),
        Outcome::NotRun(_) => ("warning", "not run"),
    };
    html! { span class=(format!("badge {class}")) { (word) } }
}

/// A place as it may be shown.
fn shown(place: &super::Place) -> Cow<'static, str> {
    clean(&place.to_string()).into_owned().into()
}
