//! JSON.

use hotadd_verify::report::{Report, json};
use serde_json::Value;

use crate::sample::{HOSTILE, hostile, is_harmless, report, written};

fn text(report: &Report) -> String {
    written(|out| json::write(report, out))
}

#[test]
fn json_is_the_report() {
    let text = text(&report());
    assert!(text.starts_with("{\n  \"version\": 1,\n") && text.ends_with("}\n"), "{text}");
    assert!(!text.ends_with("\n\n"));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["findings"][0]["check"], "leak-after-failure");
    assert_eq!(value["findings"][0]["place"]["line"], 61);
    assert_eq!(value["note"], "percpu.pdb is of another build");
    assert_eq!(value["scenarios"][3]["outcome"]["why"], "no memory");
}

#[test]
fn hostile_text_keeps_its_meaning_and_is_harmless() {
    let text = text(&hostile());
    assert!(is_harmless(&text));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["subject"], format!("{HOSTILE}out/percpu.sys{HOSTILE}"));
}

#[test]
fn reports_without_times_can_be_compared() {
    let (first, mut second) = (report(), report());
    for scenario in &mut second.scenarios {
        scenario.millis += 17;
        scenario.steps.iter_mut().for_each(|step| step.micros += 5);
    }
    second.findings[0].story[0].micros = 99;
    assert_ne!(text(&first), text(&second));
    assert_eq!(text(&first.without_times()), text(&second.without_times()));
    assert!(text(&first.without_times()).contains("the block is still there"));
}
