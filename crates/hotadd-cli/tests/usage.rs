//! Bad input is answered with a sentence that names the mistake, and exit status 2; nothing runs.

mod common;

use common::{hotadd, output, stderr};

/// Runs it with bad input. Returns the complaint.
fn complaint(args: &[&str]) -> String {
    let output = output(args);
    let complaint = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?} is bad usage; it said: {complaint}");
    assert!(!complaint.contains("panicked"), "{args:?}: {complaint}");
    assert!(output.stdout.is_empty(), "{args:?} must do nothing, and wrote to stdout");
    complaint
}

#[test]
fn a_malformed_list_is_reported_with_its_mistake() {
    for option in ["--start", "--add", "--remove"] {
        assert!(complaint(&["run", option, "1-"]).contains("empty part"), "{option}");
        assert!(complaint(&["run", option, "3-1"]).contains("the range 3-1 runs backwards"));
        assert!(complaint(&["run", option, "x"]).contains("\"x\" is not a processor number"));
        assert!(complaint(&["run", option, ""]).contains("the list is empty"), "{option}");
        assert!(complaint(&["run", option, "70000"]).contains("processor 70000 is out of range"));
    }
}

#[test]
fn a_command_without_the_dashes_gets_a_hint() {
    let said = complaint(&["run", "make", "-j8"]);
    assert!(said.contains("hotadd run -- make"), "{said}");
    assert!(
        !complaint(&["run", "--mkae"]).contains("hint"),
        "an unknown option is not taken for a command"
    );
}

#[test]
fn the_option_over_takes_cpuset_or_affinity_and_excludes_a_simulation() {
    let said = complaint(&["run", "--over", "cgroup", "--", "true"]);
    assert!(said.contains("possible values: cpuset, affinity"), "{said}");
    let said = complaint(&["run", "--over", "cpuset", "--simulate", "1+1"]);
    assert!(said.contains("cannot be used with"), "{said}");
}

#[test]
fn a_processor_that_does_not_exist_is_refused_before_anything_runs() {
    let touched = std::env::temp_dir().join(format!("hotadd-usage-{}", std::process::id()));
    let path = touched.to_str().unwrap();
    let said = complaint(&["run", "--add", "60000", "--", "touch", path]);
    assert!(
        said.contains("--add: processor 60000 cannot be added: there is no such processor"),
        "{said}"
    );
    let said = complaint(&["run", "--start", "60000", "--", "touch", path]);
    assert!(said.contains("--start:") && said.contains("60000"), "{said}");
    assert!(!touched.exists(), "the command ran although the usage was bad");
}

#[test]
fn a_processor_that_is_not_allowed_is_refused_with_the_allowed_set() {
    let Some((first, second)) = common::two_processors("not allowed") else { return };
    // The caller confines hotadd, as `taskset` does.
    let confined = |args: &[&str]| {
        let mut command = std::process::Command::new("taskset");
        command.args(["-c", &first.to_string(), env!("CARGO_BIN_EXE_hotadd")]).args(args);
        command.output().expect("taskset, of util-linux, is there")
    };
    for option in ["--add", "--start"] {
        let output = confined(&["run", option, &second.to_string()]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&second.to_string()) && said.contains(&first.to_string()), "{said}");
    }
    let output = confined(&["run", "--", "true"]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "one processor is enough to run: {}",
        stderr(&output)
    );
}

#[test]
fn an_impossible_simulation_is_refused() {
    assert!(complaint(&["run", "--simulate", "0+4"]).contains("at least one active processor"));
    assert!(complaint(&["run", "--simulate", "1+2999"]).contains("3000 processors are too many"));
    assert!(complaint(&["run", "--simulate", "4294967295+4294967295"]).contains("too many"));
    let neither = complaint(&["run", "--simulate", "4"]);
    assert!(neither.contains("neither ACTIVE+SPARE, such as 4+4, nor PACKAGESxCORESxTHREADS"));
    assert!(complaint(&["run", "--simulate", "2x0x2"]).contains("at least one package, one core"));
    assert!(complaint(&["run", "--simulate", "9x99x99"]).contains("more than 2048 processors"));
    assert!(complaint(&["run", "--simulate", "1+1,fail-start=9"]).contains("fail-start=9"));
    assert!(
        complaint(&["run", "--simulate", "1+1", "--start", "5"])
            .contains("processor 5 does not exist")
    );
    assert!(
        complaint(&["run", "--simulate", "1+1", "--add", "5"])
            .contains("processor 5 cannot be added")
    );
    assert!(
        complaint(&["run", "--simulate", "1+1", "--add", "0"])
            .contains("the run already starts on it")
    );
    assert!(
        complaint(&["run", "--simulate", "1+1", "--remove", "7"]).contains("--remove: processor 7")
    );
    assert!(
        complaint(&["run", "--simulate", "1+1", "--remove", "0-1"])
            .contains("no processor would be left to run on")
    );
}

#[test]
fn an_unknown_driver_or_option_is_reported_with_the_known_ones() {
    assert!(complaint(&["run", "--driver", "smaple"]).contains("there is no driver \"smaple\""));
    assert!(complaint(&["run", "--driver", "sample:vote=1"]).contains("no option \"vote\""));
    assert!(
        complaint(&["run", "--driver", "sample:veto=a"])
            .contains("\"a\" is not a processor number")
    );
    assert!(complaint(&["run", "--every", "5"]).contains("write it like 500ms"));
    assert!(complaint(&["run", "--every", "48h"]).contains("longer than a day"));
    assert!(complaint(&["run", "--after", "soon"]).contains("write it like 500ms"));
    assert!(complaint(&["run", "--follow", "yes"]).contains("expected ask, report or no"));
    for poll in ["9ms", "0s", "61m"] {
        assert!(
            complaint(&["run", "--poll", poll])
                .contains("the poll interval must be from 10ms to 1h")
        );
    }
    assert!(complaint(&["run", "--json", "--events", "x"]).contains("cannot be used with"));
    assert!(complaint(&["walk"]).contains("walk"));
    assert!(complaint(&[]).contains("Usage"));
}

#[test]
fn events_that_cannot_be_written_are_bad_usage() {
    let said = complaint(&["run", "--simulate", "1+1", "--events", "/nowhere/at/all"]);
    assert!(said.contains("events cannot be written to /nowhere/at/all"), "{said}");
}

#[test]
fn a_driver_with_an_invisible_name_or_that_refuses_an_active_processor_keeps_the_run_from_beginning()
 {
    let output = output(&["run", "--simulate", "1+1", "--driver", "sample:name=\u{7}"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("is not a valid party name"), "{}", stderr(&output));

    let output = hotadd(&["run", "--simulate", "2+1", "--driver", "sample:veto=1", "--", "true"]);
    let output = { output }.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(1),
        "R4: it is not registered, so the run must not begin"
    );
    assert!(
        stderr(&output).contains("sample refused processor 1, which is active already"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_command_exits_with_127_and_one_that_cannot_be_run_with_126() {
    let missing = output(&["run", "--", "hotadd-no-such-command"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(
        stderr(&missing).contains("hotadd-no-such-command cannot be run"),
        "{}",
        stderr(&missing)
    );
    let directory = output(&["run", "--", "/etc/passwd"]);
    assert_eq!(directory.status.code(), Some(126));
    assert!(stderr(&directory).contains("/etc/passwd cannot be run"), "{}", stderr(&directory));
}
