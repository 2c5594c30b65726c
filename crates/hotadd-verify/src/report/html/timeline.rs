//! The steps of a scenario as a table in which each kind of step has a lane.

use hotadd::text::clean;
use maud::{Markup, html};

use super::shown;
use crate::report::totals::count;
use crate::report::{Scenario, Step, StepKind, story};

/// The longest timeline. A browser is slow with longer tables, and what matters is at the end.
const MOST: usize = 1000;

/// A scenario with its steps.
pub(super) fn timeline(number: usize, scenario: &Scenario) -> Markup {
    html! {
        details open class="scenario" id=(format!("scenario-{number}")) {
            summary { code { (clean(&scenario.name)) } ": " (clean(&scenario.title)) }
            @if scenario.steps.is_empty() {
                p { "No step is known." }
            } @else {
                (steps(&scenario.steps))
            }
        }
    }
}

/// Steps, one a row.
pub(super) fn steps(all: &[Step]) -> Markup {
    let (before, last) = story::last(all, MOST);
    html! {
        div class="wide" tabindex="0" role="group" aria-label="steps" {
            table class="timeline" {
                thead {
                    tr {
                        th scope="col" class="right" { "ms" }
                        @for kind in StepKind::ALL { th scope="col" class="lane" { (kind.word()) } }
                        th scope="col" { "what happens" }
                    }
                }
                tbody {
                    @if before > 0 {
                        tr { td {} @for _ in StepKind::ALL { td class="lane" {} } td { (count(before, "step")) " before" } }
                    }
                    @for step in last { (row(step)) }
                }
            }
        }
    }
}

fn row(step: &Step) -> Markup {
    html! {
        tr class=(step.kind.word()) {
            td class="right time" { (step.micros / 1000) "." (format!("{:03}", step.micros % 1000)) }
            @for kind in StepKind::ALL {
                td class="lane" { @if kind == step.kind { span class="dot" { (kind.word()) } } }
            }
            td {
                (clean(&step.text))
                @if let Some(place) = &step.place { " " code class="place" { (shown(place)) } }
            }
        }
    }
}
