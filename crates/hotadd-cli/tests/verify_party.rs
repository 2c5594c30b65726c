//! `hotadd verify` on programs and samples: bad ones are found by exactly their check, and good ones by none.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use common::{output, stderr, stdout};
use serde_json::Value;

/// A folder with a program.
struct Program(tempfile::TempDir);

impl Program {
    /// A shell script of these lines.
    fn of(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("script");
        fs::write(&path, format!("#!/bin/sh\n{lines}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn spec(&self) -> String {
        format!("exec:{}", self.0.path().join("script").display())
    }
}

fn verify(spec: &str, options: &[&str]) -> Output {
    output(&[&["verify", spec, "--json"], options].concat())
}

/// Verifies, and returns the report. Its findings are of these checks.
fn is_found(spec: &str, options: &[&str], checks: &[&str]) -> Value {
    let output = verify(spec, options);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{spec}: {error}: {}", stderr(&output)));
    let all = report["findings"].as_array().unwrap();
    let mut found: Vec<_> = all.iter().map(|one| &one["check"]).collect();
    found.dedup();
    assert_eq!(found, checks, "{spec}: {report:#}");
    assert_eq!(output.status.code(), Some(i32::from(!checks.is_empty())), "{spec}");
    report
}

/// The script of docs/scripts.md, without the processor that it refuses.
fn documented() -> Program {
    let page = include_str!("../../../docs/scripts.md");
    let script = page.split("```sh\n#!/bin/sh\n").nth(1).unwrap().split("```").next().unwrap();
    Program::of(script)
}

/// Long: the machine that tests may be busy.
const PATIENT: &[&str] = &["--timeout", "60s"];

#[test]
fn good_programs_and_samples_have_no_finding() {
    let (documented, agrees) = (documented(), Program::of("exit 0"));
    for spec in [
        documented.spec(),
        agrees.spec(),
        agrees.spec() + ",later,name=x,level=3",
        format!("exec:{}", agrees.0.path().display()),
        "sample".to_owned(),
        "sample:isolated,veto=100".to_owned(),
    ] {
        is_found(&spec, PATIENT, &[]);
    }
}

#[test]
fn the_largest_set_is_tried_with_programs_only_at_the_greatest_depth() {
    let has = |report: &Value| {
        let all = report["scenarios"].as_array().unwrap().iter();
        all.map(|one| one["name"].as_str().unwrap()).any(|name| name == "existing-2047")
    };
    assert!(has(&is_found("sample", PATIENT, &[])));
    assert!(!has(&is_found("sample:isolated", PATIENT, &[])));
    let options = [PATIENT, &["--scenario", "existing-2047"]].concat();
    assert!(has(&is_found("sample:isolated", &options, &[])), "it can be asked for");
}

#[test]
fn a_program_that_refuses_everything_is_found() {
    let later = "[ $HOTADD_REPLAY = 1 ] || [ $1 != add-start ] || { echo no room >&2; exit 1; }";
    let report = is_found(&Program::of(later).spec(), PATIENT, &["refuses-all"]);
    let story = report["findings"][0]["story"].to_string();
    assert!(story.contains("AddStart for processor 3: refuses: no room"), "{story}");
    is_found(&Program::of("exit 1").spec(), PATIENT, &["refuses-all"]);
}

#[test]
fn l3_a_program_that_a_signal_ends_is_found() {
    let killed = "[ $1 = add-start ] && [ $HOTADD_REPLAY = 0 ] && kill -9 $$; exit 0";
    let report = is_found(&Program::of(killed).spec(), PATIENT, &["crash"]);
    assert_eq!(report["findings"][0]["what"], "crashes in AddStart: it was killed by SIGKILL");
}

#[test]
fn l3_a_program_that_sleeps_beyond_its_time_limit_is_found() {
    let sleeps = Program::of("[ $1 = add-start ] && [ $2 = 4 ] && exec sleep 1000; exit 0");
    // With this limit the other calls may be late too, which is the same finding.
    let spec = sleeps.spec() + ",timeout=1000";
    let report = is_found(&spec, &["--scenario", "one-by-one"], &["over-budget"]);
    let what = "does not return from AddStart within 1s";
    assert!(report["findings"].as_array().unwrap().iter().any(|one| one["what"] == what));
}

#[test]
fn r4_a_program_that_fails_only_on_big_sets_is_found() {
    let big = Program::of("[ $2 -lt 60 ] || { echo no room >&2; exit 1; }");
    let report = is_found(&big.spec(), PATIENT, &["refuses-load"]);
    assert_eq!(report["findings"][0]["scenario"], "existing-63");
}

#[test]
fn a6_a_program_that_fails_where_it_changes_nothing_is_found() {
    let spec = Program::of("[ $1 != add-complete ] || exit 3");
    is_found(&spec.spec(), PATIENT, &["status-outside-start"]);
    let spec = Program::of("[ $1 != add-failure ] || exit 3");
    is_found(&spec.spec(), PATIENT, &["status-outside-start"]);
}

#[test]
fn l3_samples_with_faults_are_found() {
    for fault in [
        "crash=add-complete",
        "segv=add-failure",
        "exit=add-start:0",
        "disconnect=add-failure",
        "garbage=add-start",
    ] {
        is_found(
            &format!("sample:isolated,{fault}"),
            &[PATIENT, &["--quick"]].concat(),
            &["crash"],
        );
    }
    for fault in ["hang=add-start", "late=add-complete", "stop=add-start"] {
        let spec = format!("sample:isolated,timeout=1000,{fault}");
        is_found(&spec, &["--scenario", "existing-1"], &["over-budget"]);
    }
}

#[test]
fn all_forms_of_reports_are_written_and_a_finding_can_be_reproduced() {
    let late = Program::of("[ $1 != add-complete ] || exit 3");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (junit, sarif, html) = (path("r.xml"), path("r.sarif"), path("r.html"));
    let spec = late.spec() + ",level=2";
    let options =
        ["--timeout", "60s", "--quick", "--junit", &junit, "--sarif", &sarif, "--html", &html];
    let table = output(&[&["verify", &spec], &options[..]].concat());
    assert_eq!(table.status.code(), Some(1));
    for (file, has) in [(junit, "<testsuite"), (sarif, "\"ruleId\""), (html, "<!DOCTYPE html>")] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(has) && text.contains("status-outside-start"), "{text}");
    }
    let text = stdout(&table);
    assert!(text.contains("   script answered AddComplete with an error"), "{text}");
    let again =
        text.lines().find_map(|line| line.trim().strip_prefix("reproduce  hotadd ")).unwrap();
    let again: Vec<&str> = again.split(' ').collect();
    assert_eq!(output(&again).status.code(), Some(1), "{again:?}");
}

#[test]
fn what_cannot_be_verified_is_one_error() {
    let wrong = [
        ("exec:/no/such/program", "/no/such/program"),
        ("sample:isolated,restart=2", "the option restart has no meaning for verify"),
        ("exec:/bin/true,when-missing=skip", "the option when-missing has no meaning for verify"),
        ("x.sys,alloc-fail=3", "every call that can fail is made to fail"),
        ("x.sys,strict", "the option strict has no meaning"),
        ("nonsense", "there is no driver \"nonsense\""),
    ];
    for (spec, why) in wrong {
        let output = verify(spec, &[]);
        assert_eq!(output.status.code(), Some(2), "{spec}");
        assert!(stderr(&output).contains(why), "{spec}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{spec}");
    }
    let output = verify("sample", &["--scenario", "empty-group"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the scenarios are one-by-one, "), "{}", stderr(&output));
}

#[cfg(target_arch = "x86_64")]
mod files {
    use hotadd_verify::Depth;
    use hotadd_verify::driver::Verifier;

    use super::*;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../hotadd-nt/samples/fixtures").join(name)
    }

    #[test]
    fn a_file_with_a_time_limit_is_verified_as_a_file() {
        let path = fixture("hello.sys");
        let spec = format!("{},timeout=60000", path.display());
        let report = is_found(&spec, &["--scenario", "one-by-one"], &[]);
        assert_eq!(report["subject"], path.display().to_string());
    }

    #[test]
    fn a_test_of_a_drivers_crate_verifies_a_built_file() {
        let verifier = Verifier::new().with_command(env!("CARGO_BIN_EXE_hotadd"));
        let verifier = verifier.depth(Depth::Quick).time_limit(std::time::Duration::from_secs(60));
        verifier
            .clone()
            .scenario("one-by-one")
            .verify_file(fixture("hello.sys"))
            .unwrap()
            .assert_clean();
        let report =
            verifier.scenario("one-by-one").verify_file(fixture("fault-leak.sys")).unwrap();
        assert!(!report.is_clean());
        let nowhere =
            Verifier::new().with_command("/no/such/hotadd").verify_file(fixture("hello.sys"));
        assert!(nowhere.unwrap_err().to_string().contains("cannot be started"));
    }
}
