//! `hotadd run --fail-on`: a run fails because of a faulty driver, and does not because of a good one.

use std::process::Output;

use crate::built::{Driver, Form, Run};
use crate::common::{events, of, stderr, stdout};

/// Runs the driver while two processors join.
fn run(driver: &Driver, fail_on: &str) -> Output {
    Run::new("1+2").driver(&driver.with("timeout=500")).fail_on(fail_on).output()
}

/// The faults that a run shows. A driver without an unload routine is not one of them (L2).
const FAULTS: &[&str] = &[
    "bugcheck",
    "doublefree",
    "early",
    "failentry",
    "fastfail",
    "import",
    "leak",
    "loop",
    "null",
    "raise",
    "registered",
    "spinlock",
    "stack",
];

#[test]
fn every_faulty_driver_fails_the_run() {
    for name in FAULTS {
        let output = run(&Form::Sys.fault(name), "fault,breach");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}");
        let began = *name != "failentry";
        assert_eq!(said.contains("the run failed, --fail-on "), began, "{name}: {said}");
        let exit = events(&stdout(&output));
        assert_eq!(of(&exit, "exit")[0]["code"], 1, "{name}");
    }
}

#[test]
fn a_good_driver_does_not_fail_the_run() {
    for name in ["percpu", "hello", "fault-nounload"] {
        for form in Form::ALL {
            let output = run(&form.sample(name), "refused,breach,fault");
            assert_eq!(output.status.code(), Some(0), "{name}: {}", stderr(&output));
            assert_eq!(stderr(&output), "", "{name}");
        }
    }
}

#[test]
fn without_the_option_faults_do_not_fail_the_run() {
    for name in ["null", "leak", "registered"] {
        let output = Run::new("1+1").driver(&Form::Sys.fault(name).path).output();
        assert_eq!(output.status.code(), Some(0), "{name}");
        assert!(!stderr(&output).contains("the run failed"), "{name}");
    }
}

#[test]
fn a_refusal_fails_the_run_only_if_refusals_are_to() {
    let with = |fail_on: &str| Run::new("1+2").driver("sample:veto=1").fail_on(fail_on).output();
    let refused = with("breach,refused");
    assert_eq!(refused.status.code(), Some(1));
    let why = "the run failed, --fail-on refused: refused by sample, processor 1: it was told to";
    assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    assert_eq!(with("fault,breach").status.code(), Some(0));
    let wrong = with("vetoes");
    assert_eq!(wrong.status.code(), Some(2), "{}", stderr(&wrong));
}
