//! Makes the report of what happened in the scenarios: what several of them show together, one finding for each fault, and the names of
//! functions.

use std::path::Path;

use hotadd_nt::Rule;

use super::{Done, Options};
use crate::check::CHECKS;
use crate::findings::{self, Findings};
use crate::message::{AddDecision, Found};
use crate::report::{self, Finding, Outcome, Place, Report, Step};
use crate::scenario::{DRY, GROUPED, Scenario};
use crate::symbols::Symbols;

/// Makes the report.
pub(super) fn report(
    file: &Path,
    options: &Options,
    mut results: Vec<Done>,
    injected: &[(Scenario, Place)],
) -> Report {
    mixed_numbers(&mut results);
    exhaustion(&mut results);
    refusals(&mut results);
    if let Some(asked) = &options.scenario {
        for result in &mut results {
            let failing = matches!(result.scenario, Scenario::Failing(_));
            if failing && !result.played.reached && result.played.found.is_empty() {
                let why = "the driver does not make this call; a report about another build of it has other places";
                result.played.not_run.get_or_insert_with(|| why.to_owned());
            }
        }
        // The others were played for comparison.
        results.retain(|result| result.scenario.to_string() == *asked);
    }
    let injected = super::injected(injected, &results);
    let mut findings = Findings::default();
    for result in &results {
        for found in &result.played.found {
            let new = finding(found, result, options);
            let (place, origin, what) = (new.place.clone(), new.origin.clone(), new.what.clone());
            let has_place = place.is_some() || origin.is_some();
            findings.add(new, |one| {
                one.place == place && one.origin == origin && (has_place || one.what == what)
            });
        }
    }
    // What only the other reading of A3 shows comes last: here it does not happen.
    let mut findings = findings.sorted(|finding| finding.scenario.starts_with("fail-told:"));
    supersede(&mut findings);
    let scenarios = results.into_iter().map(scenario).collect();
    let depth = options.scenario.clone().unwrap_or_else(|| options.depth.word().to_owned());
    let subject = file.display().to_string();
    let mut report = Report {
        version: 1,
        subject,
        seed: options.seed,
        depth,
        scenarios,
        checks: CHECKS.iter().collect(),
        findings,
        injected,
        note: None,
    };
    name_places(&mut report, file);
    report
}

fn scenario(result: Done) -> report::Scenario {
    let Done { scenario, played, took } = result;
    let outcome = match played.not_run {
        Some(why) => Outcome::NotRun(why),
        None if played.found.is_empty() => Outcome::Passed,
        None => Outcome::Failed,
    };
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let steps = played.steps.into_iter().map(clean_step).collect();
    report::Scenario { name: scenario.to_string(), title: scenario.title(), outcome, millis, steps }
}

fn clean_step(step: Step) -> Step {
    Step { text: without_addresses(&step.text), ..step }
}

fn finding(found: &Found, result: &Done, options: &Options) -> Finding {
    let end = found.step.min(result.played.steps.len());
    let mut what = without_addresses(&found.what);
    if matches!(&result.scenario, Scenario::Failing(failing) if failing.told) {
        what += "; only if a driver is told of the failure that its own refusal caused (the other reading of A3)";
    }
    Finding {
        check: findings::check(&found.check),
        what,
        place: found.place.clone(),
        origin: found.origin.clone(),
        scenario: result.scenario.to_string(),
        also: 0,
        story: findings::story(&result.played.steps[..end]).into_iter().map(clean_step).collect(),
        reproduce: format!(
            "{} --scenario {} --seed {}",
            options.command, result.scenario, options.seed
        ),
    }
}

/// Checks of memory and devices that fail when two processors share an entry.
const BY_SHARING: &[&str] = &[
    "leak-after-unload",
    "leak-after-failure",
    "double-free",
    "bad-free",
    "use-after-free",
    "pool-overrun",
    "affinity-misuse",
    "inactive-target",
    "over-budget",
];

/// What goes wrong only with groups of two, and not with the same processors in one group, is the confusion of index and number.
fn mixed_numbers(results: &mut [Done]) {
    let of = |name: &'static str| {
        results.iter().position(|result| result.scenario == Scenario::Plain(name))
    };
    let (Some(grouped), Some(flat)) = (of(GROUPED), of(DRY)) else { return };
    // A call that names the callback's own processor whenever there is one group, and another one when there are several.
    let others = |place: &Place| {
        results[flat].played.named.iter().any(|one| !one.own && one.place == *place)
    };
    let strays = results[grouped].played.named.iter().filter(|one| !one.own && !others(&one.place));
    let strays: Vec<Found> = strays
        .map(|one| Found {
            check: "index-number-mixed".to_owned(),
            otherwise: None,
            what: format!("names another processor to {}: only with several groups", one.function),
            place: Some(one.place.clone()),
            origin: None,
            step: results[grouped].played.steps.len(),
        })
        .collect();
    // Without several groups the same goes wrong elsewhere, or the same kind of thing with the same processors.
    let elsewhere = |found: &Found| {
        results.iter().enumerate().any(|(at, result)| {
            let set = result.scenario.set();
            let one_group = at != grouped && set.active + set.spare <= set.group;
            let mut all = result.played.found.iter();
            let same = |one: &Found| {
                one.check == found.check
                    && (at == flat || one.place.is_some() && one.place == found.place)
            };
            one_group && all.any(same)
        })
    };
    let is_mixed = |found: &Found| BY_SHARING.contains(&found.check.as_str()) && !elsewhere(found);
    let mixed: Vec<bool> = results[grouped].played.found.iter().map(is_mixed).collect();
    for (found, _) in
        results[grouped].played.found.iter_mut().zip(mixed).filter(|(_, mixed)| *mixed)
    {
        found.what = format!("{}: only with several groups", found.what);
        found.check = "index-number-mixed".to_owned();
    }
    results[grouped].played.found.extend(strays);
}

/// A fault that also happens at the same place when no call fails is not caused by the failing call. It gets its ordinary check. A
/// callback that takes too long is stopped at any place of its loop, so there the place does not count.
fn exhaustion(results: &mut [Done]) {
    let plain = |result: &&Done| matches!(result.scenario, Scenario::Plain(_));
    let known: Vec<(Option<Place>, String)> = results
        .iter()
        .filter(plain)
        .flat_map(|result| &result.played.found)
        .map(|found| (found.place.clone(), found.check.clone()))
        .collect();
    for found in results.iter_mut().flat_map(|result| &mut result.played.found) {
        let Some(otherwise) = found.otherwise.take() else { continue };
        let anywhere = otherwise == Rule::OverBudget.id();
        let same = |(place, check): &(Option<Place>, String)| {
            *check == otherwise && (anywhere || place.is_some() && *place == found.place)
        };
        if known.iter().any(same) {
            found.check = otherwise;
        }
    }
}

/// A finding that explains others at the same place: the confusion of index and number asks for processors that do not exist.
fn supersede(findings: &mut Vec<Finding>) {
    let mixed: Vec<Place> = findings
        .iter()
        .filter(|finding| finding.check.id == "index-number-mixed")
        .filter_map(|finding| finding.place.clone())
        .collect();
    findings.retain(|finding| {
        let explained = finding.place.as_ref().is_some_and(|place| mixed.contains(place));
        finding.check.id != "affinity-misuse" || !explained
    });
}

/// Findings about what the driver decides, from all scenarios in which nothing was made to fail.
fn refusals(results: &mut [Done]) {
    let plain = |result: &&mut Done| matches!(result.scenario, Scenario::Plain(_));
    let loads = results.iter().any(|result| !result.played.adds.is_empty());
    let has_add = |is: fn(&AddDecision) -> bool| {
        results.iter().any(|result| result.played.adds.iter().any(is))
    };
    let agrees = has_add(|add| add.agreed);
    let refuses_old_groups = has_add(|add| !add.agreed && add.group_was_active);
    for result in results.iter_mut().filter(plain) {
        let adds = &result.played.adds;
        let refused = |group: bool| {
            adds.iter().filter(|add| !add.agreed && add.group_was_active == group).count()
        };
        let mut find = |check: &str, what: String| {
            let step = result.played.steps.len();
            let (check, otherwise) = (check.to_owned(), None);
            let found = Found { check, otherwise, what, place: None, origin: None, step };
            result.played.found.push(found);
        };
        if !agrees && refuses_old_groups && !adds.is_empty() {
            find("refuses-all", "refuses every processor, although nothing failed".to_owned());
        } else if refused(false) > 0 && refused(true) == 0 {
            find(
                "refuses-new-group",
                "refuses a processor of a group that had no active processor before".to_owned(),
            );
        }
        match &result.played.refused_load {
            Some(why) if loads => find("refuses-load", format!("does not load: {why}")),
            Some(why) if result.played.found.is_empty() => {
                result.played.not_run = Some(why.clone());
            }
            _ => {}
        }
    }
}

/// Replaces addresses, which are never the same twice.
fn without_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits =
            rest[at + 2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - at - 2);
        let end = at + 2 + digits;
        out.push_str(&rest[..at]);
        out.push_str(if digits > 8 { "an address" } else { &rest[at..end] });
        rest = &rest[end..];
    }
    out + rest
}

/// Gives each position its function, file and line, if there are symbols.
fn name_places(report: &mut Report, file: &Path) {
    let symbols = Symbols::open(file);
    let fill = |place: &mut Option<Place>| {
        if let Some(place) = place {
            symbols.fill(place);
        }
    };
    for finding in &mut report.findings {
        fill(&mut finding.place);
        fill(&mut finding.origin);
        finding.story.iter_mut().for_each(|step| fill(&mut step.place));
    }
    for scenario in &mut report.scenarios {
        scenario.steps.iter_mut().for_each(|step| fill(&mut step.place));
    }
    report.injected.iter_mut().for_each(|injected| symbols.fill(&mut injected.place));
    let places = report.findings.iter().filter_map(|finding| finding.place.as_ref());
    let mut places = places.chain(report.injected.iter().map(|injected| &injected.place));
    if places.any(|place| place.line.is_none()) {
        report.note = symbols.note().map(str::to_owned);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::message::Played;

    fn done(scenario: &str, check: &str, otherwise: Option<&str>, offset: u64) -> Done {
        let found = Found {
            check: check.to_owned(),
            what: String::new(),
            place: Some(Place { offset, ..Place::default() }),
            origin: None,
            otherwise: otherwise.map(str::to_owned),
            step: 0,
        };
        let played = Played { found: vec![found], ..Played::default() };
        Done { scenario: scenario.parse().unwrap(), played, took: Duration::ZERO }
    }

    /// The check under which a fault after a failing call is reported.
    fn judged(otherwise: &str, plain_at: u64, failing_at: u64) -> String {
        let failing = "fail:1:replay:ExAllocatePoolWithTag+0x10";
        let mut results = vec![
            done(DRY, otherwise, None, plain_at),
            done(failing, "exhaustion-unhandled", Some(otherwise), failing_at),
        ];
        exhaustion(&mut results);
        results[1].played.found[0].check.clone()
    }

    #[test]
    fn a_fault_is_blamed_on_a_failing_call_unless_it_happens_without_one() {
        assert_eq!(judged("crash", 0x20, 0x20), "crash", "the same place");
        assert_eq!(judged("crash", 0x20, 0x30), "exhaustion-unhandled", "another place");
        assert_eq!(judged("over-budget", 0x20, 0x30), "over-budget", "elsewhere in a loop");
    }

    #[test]
    fn addresses_are_replaced_and_statuses_stay() {
        assert_eq!(
            without_addresses("frees 0x7f1234567890, 0xC0000017 at x+0x12"),
            "frees an address, 0xC0000017 at x+0x12"
        );
        assert_eq!(without_addresses("0x"), "0x");
    }
}
