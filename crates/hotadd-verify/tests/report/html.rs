//! The page.

use std::process::{Command, Stdio};

use hotadd_verify::report::{Report, html};

use crate::sample::{clean, hostile, is_harmless, report, written};

pub(crate) fn text(report: &Report) -> String {
    written(|out| html::write(report, out))
}

#[test]
fn a_page_has_findings_and_timelines() {
    let page = text(&report());
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    assert!(page.contains("2 findings: 1 error, 1 warning"));
    assert!(page.contains("Note: percpu.pdb is of another build"));
    for id in ["finding-1", "finding-2", "scenario-2", "scenario-3"] {
        assert_eq!(page.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
    assert!(!page.contains("id=\"scenario-1\""), "a scenario that passed has no timeline");
    let anchors = page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    for anchor in anchors {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor} leads somewhere");
    }
    assert!(text(&clean()).contains("nothing found"));
}

#[test]
fn a_page_loads_nothing() {
    let page = text(&report());
    for outside in [
        "<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "http:", "https:",
        " style=",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_policy_allows_exactly_the_style() {
    let page = text(&clean());
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let mut sum = Command::new("sha256sum");
    let mut sum = sum.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut sum.stdin.take().unwrap(), style.as_bytes()).unwrap();
    let sum = String::from_utf8(sum.wait_with_output().unwrap().stdout).unwrap();
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&sum[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let source = format!("style-src 'sha256-{}'", base64(&bytes));
    assert!(page.contains(&source), "POLICY must have {source}");
    assert!(page.contains("default-src 'none';"));
}

/// The bytes in base64.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                let at = bits >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[at as usize]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[test]
fn hostile_text_makes_no_markup() {
    let page = text(&hostile());
    assert!(is_harmless(&page.replace('\u{fffe}', "")));
    let tags = |page: &str| page.matches('<').count();
    assert_eq!(tags(&page), tags(&text(&report())));
    assert!(!page.contains("<script"));
}

#[test]
fn a_long_timeline_shows_its_end() {
    let mut report = report();
    let step = report.scenarios[1].steps[0].clone();
    report.scenarios[1].steps.splice(0..0, vec![step; 5000]);
    let page = text(&report);
    assert!(page.contains("4007 steps before"));
    assert!(page.len() < 1 << 20);
}
