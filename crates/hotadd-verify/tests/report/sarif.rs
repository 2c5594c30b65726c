//! SARIF.

use hotadd_verify::check::CHECKS;
use hotadd_verify::report::{Report, sarif};
use serde_json::{Value, json};

use crate::sample::{clean, hostile, is_harmless, known, report, unknown, written};

fn text(report: &Report) -> String {
    written(|out| sarif::write(report, out))
}

/// The only run, after checks of what SARIF 2.1.0 asks of any.
fn run(report: &Report) -> Value {
    let text = text(report);
    assert!(is_harmless(&text));
    let log: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), CHECKS.len());
    for rule in rules {
        for text in ["shortDescription", "fullDescription", "help"] {
            assert!(rule[text]["text"].as_str().unwrap().ends_with('.'), "{rule}");
        }
        let level = rule["defaultConfiguration"]["level"].as_str().unwrap();
        assert!(["error", "warning"].contains(&level));
    }
    for result in run["results"].as_array().unwrap() {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"], "the index and the id agree");
        assert_eq!(rule["defaultConfiguration"]["level"], result["level"]);
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
    }
    run.clone()
}

#[test]
fn a_finding_is_a_result_at_its_line() {
    let run = run(&report());
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "leak-after-failure");
    let physical = &result["locations"][0]["physicalLocation"];
    assert_eq!(physical["artifactLocation"], json!({"uri": "src/percpu.c"}));
    assert_eq!(physical["region"], json!({"startLine": 61}));
    let related = &result["relatedLocations"][0];
    assert_eq!(related["physicalLocation"]["region"]["startLine"], 40);
    let steps = &result["codeFlows"][0]["threadFlows"][0]["locations"];
    let lines: Vec<u64> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["location"]["physicalLocation"]["region"]["startLine"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [40, 61], "the steps whose place is known");
    assert!(result["message"]["text"].as_str().unwrap().starts_with(
        "percpu.sys leaves one block of 128 bytes, tag 'PcpU'. Free in KeProcessorAddFailureNotify"
    ));
}

#[test]
fn a_finding_without_symbols_is_in_the_module() {
    let run = run(&report());
    let result = &run["results"][1];
    let expected = json!([{"logicalLocations": [
        {"fullyQualifiedName": "percpu.sys+0x1b00", "name": "percpu.sys+0x1b00", "kind": "function"}
    ]}]);
    assert_eq!(result["locations"], expected);
    assert_eq!(result.get("codeFlows"), None);
}

#[test]
fn fingerprints_survive_edits_elsewhere_and_tell_findings_apart() {
    let prints = |report: &Report| {
        let run = run(report);
        let results = run["results"].as_array().unwrap();
        let print = |result: &Value| result["partialFingerprints"].to_string();
        results.iter().map(print).collect::<Vec<_>>()
    };
    let mut report = report();
    report.findings[1].place = Some(known("PerCpuLoad", 12));
    report.findings.push(report.findings[0].clone());
    let before = prints(&report);
    assert_eq!(before.len(), 3);
    assert!(before[0] != before[1] && before[0] != before[2] && before[1] != before[2]);

    for finding in &mut report.findings {
        let place = finding.place.as_mut().unwrap();
        (place.line, place.offset) = (place.line.map(|line| line + 10), place.offset + 64);
    }
    report.seed += 1;
    assert_eq!(prints(&report), before);
    report.findings[0].place = Some(unknown(4));
    assert_ne!(prints(&report), before);
}

#[test]
fn a_scenario_that_could_not_be_run_is_a_notification() {
    let invocation = run(&report())["invocations"][0].clone();
    assert_eq!(invocation["executionSuccessful"], false);
    let expected = "The scenario groups-of-2 could not be run: no memory";
    assert_eq!(invocation["toolExecutionNotifications"][0]["message"]["text"], expected);
    let clean = run(&clean());
    assert_eq!(clean["invocations"][0]["executionSuccessful"], true);
    assert_eq!(clean["results"], json!([]));
}

#[test]
fn hostile_text_makes_no_links_and_valid_uris() {
    let run = run(&hostile());
    let text = run.to_string();
    assert!(!text.contains("]("), "a link of a driver");
    let uri = &run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    let uri = uri.as_str().unwrap();
    assert!(uri.starts_with("%3Cscript%3Ealert%281%29%3C/script%3E%5D%5D%3E%26amp%3B"), "{uri}");
    assert!(uri.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b)));
}
