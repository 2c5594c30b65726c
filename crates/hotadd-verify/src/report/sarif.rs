//! The report as SARIF 2.1.0, which code hosts show beside the sources.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hotadd::text::clean;
use serde_json::{Map, Value, json};

use super::{Finding, Outcome, Place, Report, Scenario, json as plain, story};
use crate::check::{CHECKS, Check};

/// The schema that the output satisfies.
const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Writes the report as SARIF.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut seen = BTreeMap::new();
    let results: Vec<Value> =
        report.findings.iter().map(|finding| result(report, finding, &mut seen)).collect();
    let run = json!({
        "tool": {"driver": {
            "name": "hotadd verify",
            "version": env!("CARGO_PKG_VERSION"),
            "informationUri": env!("CARGO_PKG_REPOSITORY"),
            "rules": CHECKS.iter().map(rule).collect::<Vec<_>>(),
        }},
        // A host keeps the results of several drivers apart by this.
        "automationDetails": {"id": format!("hotadd-verify/{}/", text(report.module()))},
        "invocations": [{
            "executionSuccessful": !report.could_not_run(),
            "toolExecutionNotifications": notifications(report),
        }],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {"seed": report.seed.to_string(), "depth": text(&report.depth)},
    });
    plain::write_value(&json!({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}), out)
}

/// A check as a rule.
fn rule(check: &Check) -> Value {
    let Check { id, severity, rule, title, effect, advice } = check;
    json!({
        "id": id,
        "shortDescription": {"text": format!("The driver {title}.")},
        "fullDescription": {"text": format!("The driver {title}. Effect: {effect}. Rule: {rule}.")},
        "help": {"text": format!("What to do: {advice}.\nEffect: {effect}.\nRule: {rule}.")},
        "defaultConfiguration": {"level": severity.word()},
        "properties": {"tags": ["driver", "processor-change"]},
    })
}

/// The scenarios that could not be run.
fn notifications(report: &Report) -> Vec<Value> {
    let notification = |scenario: &Scenario| {
        let Outcome::NotRun(why) = &scenario.outcome else { return None };
        let message = format!("The scenario {} could not be run: {why}", scenario.name);
        Some(json!({"level": "error", "message": {"text": text(&message)}}))
    };
    report.scenarios.iter().filter_map(notification).collect()
}

/// A finding. `seen` counts findings of the same check and place.
fn result(report: &Report, finding: &Finding, seen: &mut BTreeMap<String, usize>) -> Value {
    let check = finding.check;
    let index = CHECKS.iter().position(|each| each.id == check.id);
    let sentence = text(&story::sentence(report, finding));
    let message = format!(
        "{sentence}. {}. Found in {}. To reproduce: {}",
        capital(check.advice),
        text(&story::found_in(finding)),
        text(&finding.reproduce)
    );
    let mut result = Map::new();
    let mut set = |key: &str, value: Value| result.insert(key.to_owned(), value);
    set("ruleId", check.id.into());
    if let Some(index) = index {
        set("ruleIndex", index.into());
    }
    set("level", check.severity.word().into());
    set("message", json!({"text": message}));
    let location = finding.place.as_ref().map_or_else(
        || json!({"logicalLocations": [{"name": text(report.module()), "kind": "module"}]}),
        location,
    );
    set("locations", json!([location]));
    if let Some(origin) = &finding.origin {
        let mut origin =
            location_with(origin, "The block was allocated, or the object made, here.");
        origin["id"] = 1.into();
        set("relatedLocations", json!([origin]));
    }
    let key = fingerprint(report, finding);
    let number = seen.entry(key.clone()).or_default();
    *number += 1;
    set("partialFingerprints", json!({"hotaddCheckAndFunction/v1": format!("{key}/{number}")}));
    let steps: Vec<Value> = finding
        .story
        .iter()
        .filter_map(|step| {
            let message = format!("{}: {}", step.kind.word(), step.text);
            let location = location_with(step.place.as_ref()?, &message);
            Some(json!({"location": location, "kinds": [step.kind.word()]}))
        })
        .collect();
    if !steps.is_empty() {
        set("codeFlows", json!([{"threadFlows": [{"locations": steps}]}]));
    }
    Value::Object(result)
}

/// What is the same for this finding in every run: neither lines nor offsets, which change with each edit above them. An offset
/// stands for the function only if there are no symbols.
fn fingerprint(report: &Report, finding: &Finding) -> String {
    let place = finding.place.as_ref().or(finding.origin.as_ref());
    let place = place.map_or_else(String::new, |place| match &place.function {
        Some(function) => text(function),
        None => format!("{:#x}", place.offset),
    });
    format!("{}/{}/{place}", finding.check.id, text(report.module()))
}

/// A place as a location: in the source if it is known, otherwise in the module.
fn location(place: &Place) -> Value {
    let module = text(&place.module);
    let name = place.function.as_deref().map(text);
    let mut location = Map::new();
    if let Some(file) = &place.file {
        let mut physical = json!({"artifactLocation": {"uri": uri(file)}});
        if let Some(line) = place.line.filter(|&line| line > 0) {
            physical["region"] = json!({"startLine": line});
        }
        location.insert("physicalLocation".to_owned(), physical);
    }
    let logical = match (name, &place.file) {
        (Some(name), Some(_)) => {
            json!({"fullyQualifiedName": format!("{module}!{name}"), "name": name, "kind": "function"})
        }
        (name, _) => {
            let address = format!("{module}+{:#x}", place.offset);
            let name = name.unwrap_or_else(|| address.clone());
            json!({"fullyQualifiedName": address, "name": name, "kind": "function"})
        }
    };
    location.insert("logicalLocations".to_owned(), json!([logical]));
    Value::Object(location)
}

/// A location with a text.
fn location_with(place: &Place, message: &str) -> Value {
    let mut location = location(place);
    location["message"] = json!({"text": text(message)});
    location
}

/// Text of the driver as it may be shown. SARIF shows `[text](target)` as a link, so a space is put between its parts.
fn text(text: &str) -> String {
    clean(text).replace("](", "] (")
}

/// The sentence with its first letter in upper case.
fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// The path of a file as a URI: relative, if the path is.
fn uri(path: &str) -> String {
    let mut uri = String::from(if path.starts_with('/') { "file://" } else { "" });
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => uri.push(char::from(byte)),
            byte => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri_whatever_stands_in_it() {
        assert_eq!(uri("src/per cpu.c"), "src/per%20cpu.c");
        assert_eq!(uri("javascript:alert(1)"), "javascript%3Aalert%281%29");
        assert_eq!(uri("/src/é\n.c"), "file:///src/%C3%A9%0A.c");
    }

    #[test]
    fn text_of_a_driver_is_no_link() {
        assert_eq!(text("[here](https://x) \u{202e}"), "[here] (https://x) \u{fffd}");
    }
}
