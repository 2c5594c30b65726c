//! JUnit XML.

use hotadd_verify::report::{Report, junit};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::sample::{clean, hostile, is_harmless, report, written};

fn text(report: &Report) -> String {
    written(|out| junit::write(report, out))
}

/// The elements with their attributes, and texts, as a parser sees them. Fails if it is not XML.
fn parsed(xml: &str) -> Vec<(String, Vec<(String, String)>)> {
    let invalid = |c: char| !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    assert!(!xml.contains(invalid), "XML has no other characters");
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let mut found = Vec::new();
    let element = |start: &BytesStart<'_>| {
        let name = start.name().as_ref().to_owned();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let key = attribute.key.as_ref().to_owned();
            (key, quick_xml::escape::unescape(&attribute.value).unwrap().into_owned())
        });
        (name, attributes.collect())
    };
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) | Event::Empty(start) => found.push(element(&start)),
            Event::CData(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {
                panic!("the text has made markup")
            }
            Event::Eof => return found,
            _ => {}
        }
    }
}

fn names(xml: &str) -> Vec<String> {
    parsed(xml).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn scenarios_are_cases_and_findings_are_failures() {
    let text = text(&report());
    let elements = parsed(&text);
    let names: Vec<&str> = elements.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "testsuites",
            "testsuite",
            "properties",
            "property",
            "property",
            "testcase",
            "testcase",
            "failure",
            "testcase",
            "failure",
            "testcase",
            "error"
        ]
    );
    let of = |at: usize, key: &str| {
        let attributes = &elements[at].1;
        attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    };
    for at in [0, 1] {
        let counts = ["tests", "failures", "errors", "skipped", "time"].map(|key| of(at, key));
        assert_eq!(counts, ["4", "2", "1", "0", "4.936"].map(Some));
    }
    assert_eq!((of(5, "name"), of(5, "classname")), (Some("plain"), Some("out/percpu.sys")));
    assert_eq!(of(7, "type"), Some("leak-after-failure"));
    assert_eq!(of(7, "message"), Some("percpu.sys leaves one block of 128 bytes, tag 'PcpU'"));
    assert_eq!((of(11, "type"), of(11, "message")), (Some("not-run"), Some("no memory")));
    assert!(text.contains("\nplace      PerCpuFailed (src/percpu.c:61)\n"), "{text}");
    assert!(text.ends_with("</testsuites>\n"));
}

#[test]
fn a_scenario_that_failed_as_another_one_is_a_failure_too() {
    let mut report = report();
    report.findings.pop();
    let text = text(&report);
    let expected = "<failure type=\"found-before\" message=\"leaves one event (another scenario has the story)\">";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_finding_of_an_unknown_scenario_is_not_lost() {
    let mut report = clean();
    report.findings = crate::sample::report().findings;
    let elements = names(&text(&report));
    assert_eq!(elements.iter().filter(|name| *name == "testcase").count(), 3);
    assert_eq!(elements.iter().filter(|name| *name == "failure").count(), 2);
}

#[test]
fn hostile_text_makes_no_markup() {
    let text = text(&hostile());
    assert!(is_harmless(&text));
    assert_eq!(names(&text), names(&crate::junit::text(&report())));
}
