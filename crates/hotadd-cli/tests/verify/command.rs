//! The command: its exit status, its reports, its errors.

use std::path::Path;

use super::{Report, output, samples, stderr, stdout, zoo};

/// A path as an argument.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_clean_driver_gives_status_0_and_says_which_failing_calls_were_reached() {
    let driver = samples().join("fixtures/percpu.sys");
    let done = output(&["verify", text(&driver), "--quick", "--timeout", "20s"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", stdout(&done), stderr(&done));
    assert!(stdout(&done).contains("reached"), "{}", stdout(&done));
    assert!(stderr(&done).is_empty(), "no progress without a terminal: {}", stderr(&done));
}

#[test]
fn a_finding_names_function_file_and_line_and_the_command_that_reproduces_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let driver = zoo(&folder, "leak-after-failure.so");
    let report = Report::of(&driver, &["--quick", "--timeout", "20s"]);
    let finding = &report.list("findings")[0];
    assert_eq!(finding["check"], "leak-after-failure", "{}", report.findings());
    assert_eq!(finding["origin"]["function"], "ZooAllocate", "{}", report.findings());
    assert!(
        finding["origin"]["line"].as_u64().is_some_and(|line| line > 0),
        "{}",
        report.findings()
    );
    let command = finding["reproduce"].as_str().unwrap().to_owned();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let again = output(&[&words[..], &["--json", "--timeout", "20s"]].concat());
    assert_eq!(again.status.code(), Some(1), "{command}: {}", stderr(&again));
    assert!(stdout(&again).contains("leak-after-failure"), "{command}: {}", stdout(&again));
}

#[test]
fn the_same_seed_gives_the_same_report_byte_for_byte_apart_from_times() {
    let folder = tempfile::tempdir().unwrap();
    let drivers = [
        ("leak-after-veto.so", None),
        ("use-after-free.so", Some("--quick")),
        ("good/workers.so", Some("--quick")),
    ];
    for (name, depth) in drivers {
        let driver = zoo(&folder, name);
        let once = || {
            let mut report = Report::of(
                &driver,
                &[&["--seed", "7", "--timeout", "20s"][..], depth.as_slice()].concat(),
            )
            .0;
            without_times(&mut report);
            serde_json::to_string_pretty(&report).unwrap()
        };
        assert!(once() == once(), "{name}: two reports differ");
    }
}

/// Removes the times, wherever they are.
fn without_times(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.remove("micros");
            fields.remove("millis");
            fields.values_mut().for_each(without_times);
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn the_reports_for_programs_are_written_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let driver = zoo(&folder, "double-free.so");
    let file = |name: &str| folder.path().join(name);
    let (junit, sarif, html) = (file("j.xml"), file("s.sarif"), file("r.html"));
    let files = ["--junit", text(&junit), "--sarif", text(&sarif), "--html", text(&html)];
    let done =
        output(&[&["verify", text(&driver), "--quick", "--timeout", "20s"], &files[..]].concat());
    assert_eq!(done.status.code(), Some(1), "{}", stderr(&done));
    for (path, word) in [(&junit, "<testsuite"), (&sarif, "\"2.1.0\""), (&html, "<!DOCTYPE html>")]
    {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains(word) && text.contains("double-free"), "{}", path.display());
    }
}

#[test]
fn what_cannot_be_verified_gives_status_2_and_one_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no.sys");
    std::fs::write(&file, "no driver").unwrap();
    let percpu = samples().join("fixtures/percpu.sys");
    let framework = samples().join("fixtures/fault-failentry.sys");
    let cases: [(&[&str], &str); 4] = [
        (&[text(&file)], "no.sys"),
        (&["/nonexistent/x.sys"], "x.sys"),
        (&[text(&percpu), "--scenario", "no-such"], "there is no scenario"),
        (
            &[text(&framework), "--scenario", "unload-at-once", "--junit", "/nonexistent/j.xml"],
            "j.xml",
        ),
    ];
    for (arguments, why) in cases {
        let done = output(&[&["verify"], arguments].concat());
        assert_eq!(
            done.status.code(),
            Some(2),
            "{arguments:?}: {}{}",
            stdout(&done),
            stderr(&done)
        );
        assert!(stderr(&done).contains(why), "{arguments:?}: {}", stderr(&done));
    }
}
