//! Bad Rust drivers, each with one fault, and what the verifier finds: exactly the check of that fault. Good drivers have no finding.

mod zoo;

use std::sync::Arc;
use std::time::Duration;

use hotadd::{Driver, Notice, Sample};
use hotadd_verify::Depth;
use hotadd_verify::driver::{Verifier, verify_driver};
use hotadd_verify::party::{PartyOptions, Start, verify_party};
use hotadd_verify::report::{Outcome, Report};

use zoo::{Table, Zoo};

/// The checks that have findings, each once.
fn checks(report: &Report) -> Vec<&'static str> {
    let mut checks: Vec<_> = report.findings.iter().map(|finding| finding.check.id).collect();
    checks.dedup();
    checks
}

fn verify<D: Driver + Send + 'static>(
    make: impl Fn(&Table) -> D + Send + Sync + 'static,
) -> Report {
    let table = Table::default();
    let counted = table.clone();
    let verifier =
        Verifier::new().outstanding(move || counted.entries()).time_limit(Duration::from_secs(20));
    let report = verifier.verify_driver(move || make(&table)).unwrap();
    assert!(!report.could_not_run(), "{report:#?}");
    report
}

fn is_caught(zoo: Zoo, check: &str) -> Report {
    let report = verify(move |table| zoo.driver(table));
    assert_eq!(checks(&report), [check], "{zoo:?}: {:#?}", report.findings);
    assert!(!report.is_clean());
    let finding = &report.findings[0];
    assert!(!finding.story.is_empty(), "{zoo:?}");
    report
}

#[test]
fn good_drivers_have_no_finding() {
    verify(|table| Zoo::Good.driver(table)).assert_clean();
    verify(|_| Sample::new()).assert_clean();
    let veto = || Sample::new().veto("4".parse().unwrap());
    Verifier::new().scenario("one-by-one").verify_driver(veto).unwrap().assert_clean();
}

#[test]
fn all_depths_have_no_finding_for_a_good_driver() {
    verify_driver(|| |_: &Notice| Ok(())).assert_clean();
    for depth in [Depth::Quick, Depth::Thorough] {
        let table = Table::default();
        let make = move || Zoo::Good.driver(&table);
        let report = Verifier::new().depth(depth).seed(7).verify_driver(make).unwrap();
        report.assert_clean();
        assert_eq!((&*report.depth, report.seed), (depth.word(), 7));
    }
}

#[test]
fn a2_a_driver_that_refuses_everything_is_found() {
    let report = is_caught(Zoo::RefusesAll, "refuses-all");
    assert!(report.findings[0].also > 0);
    is_caught(Zoo::RefusesEvenActive, "refuses-all");
}

#[test]
fn r4_a_driver_that_does_not_register_on_big_sets_is_found() {
    let report = is_caught(Zoo::RefusesBigSets, "refuses-load");
    assert_eq!(report.findings[0].scenario, "existing-63");
    assert!(report.findings[0].what.contains("no room"), "{:?}", report.findings[0].what);
}

#[test]
fn a6_an_error_that_changes_nothing_is_found() {
    is_caught(Zoo::ErrorInComplete, "status-outside-start");
    is_caught(Zoo::ErrorInFailure, "status-outside-start");
}

#[test]
fn l3_a_panic_is_found_in_any_state() {
    let report = is_caught(Zoo::PanicsInComplete, "crash");
    assert_eq!(report.findings[0].what, "crashes in AddComplete: it panicked: no block");
    let report = is_caught(Zoo::PanicsInStart, "crash");
    assert_eq!(report.findings[0].what, "crashes in AddStart: it panicked: no block");
    is_caught(Zoo::PanicsInFailure, "crash");
    is_caught(Zoo::PanicsWhenMade, "crash");
}

#[test]
fn a4_what_is_kept_after_a_failure_is_found() {
    let report = is_caught(Zoo::KeepsAfterFailure, "leak-after-failure");
    assert!(
        report.findings[0].what.starts_with("keeps 1 more for "),
        "{:?}",
        report.findings[0].what
    );
}

#[test]
fn a3_what_is_kept_after_a_refusal_of_its_own_is_found() {
    is_caught(Zoo::KeepsAfterVeto, "leak-after-veto");
}

#[test]
fn r4_what_is_kept_after_a_refused_registration_is_found() {
    let report = verify(|table| Zoo::KeepsAfterRefusedLoad.driver(table));
    assert_eq!(checks(&report), ["leak-after-refused-load", "refuses-load"]);
}

#[test]
fn d4_what_is_kept_after_deregistering_is_found() {
    is_caught(Zoo::KeepsAfterUnload, "leak-after-unload");
}

#[test]
fn l3_a_call_that_takes_too_long_is_found() {
    let table = Table::default();
    let verifier = Verifier::new().depth(Depth::Quick).time_limit(Duration::from_millis(1));
    let report =
        verifier.scenario("existing-1").verify_driver(move || Zoo::Slow.driver(&table)).unwrap();
    assert_eq!(checks(&report), ["over-budget"], "{:#?}", report.findings);
    let what = "does not return from AddStart within 1ms";
    assert!(report.findings.iter().any(|finding| finding.what == what), "{:#?}", report.findings);
}

#[test]
fn l3_a_call_that_never_returns_is_found_and_the_next_scenario_is_played() {
    let table = Table::default();
    let verifier = Verifier::new().scenario("existing-1").time_limit(Duration::from_millis(10));
    let report = verifier.verify_driver(move || Zoo::Hangs.driver(&table)).unwrap();
    assert_eq!(checks(&report), ["over-budget"], "{:#?}", report.findings);
}

#[test]
fn r1_a_start_that_registers_nothing_is_found() {
    let start: Start = Arc::new(|_| Ok(Box::new(())));
    let report = verify_party("nobody", &PartyOptions::default(), &start, |_| ()).unwrap();
    assert_eq!(checks(&report), ["never-registered"]);
}

#[test]
fn a_start_that_fails_without_a_refusal_is_no_finding() {
    let start: Start = Arc::new(|_| Err("there is no such file".to_owned()));
    let mut told = 0;
    let tell = |_: &hotadd_verify::Progress| told += 1;
    let report = verify_party("x", &PartyOptions::default(), &start, tell).unwrap();
    assert!(report.findings.is_empty() && report.could_not_run());
    let why = Outcome::NotRun("there is no such file".to_owned());
    assert!(report.scenarios.iter().all(|scenario| scenario.outcome == why));
    assert_eq!(told, report.scenarios.len());
}

#[test]
fn an_unknown_scenario_is_an_error_that_lists_them() {
    let why = Verifier::new().scenario("nothing").verify_driver(Sample::new).unwrap_err();
    assert!(why.to_string().contains("one-by-one, existing-1, "), "{why}");
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let report = || {
        let table = Table::default();
        let verifier =
            Verifier::new().scenario("random").seed(3).time_limit(Duration::from_secs(60));
        let report = verifier.verify_driver(move || Zoo::ErrorInFailure.driver(&table)).unwrap();
        format!("{:#?}", report.without_times())
    };
    assert_eq!(report(), report());
}

#[test]
#[should_panic(expected = "status-outside-start")]
fn assert_clean_shows_the_table() {
    verify(|table| Zoo::ErrorInComplete.driver(table)).assert_clean();
}
