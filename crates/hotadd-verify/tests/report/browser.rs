//! The page in a browser.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use hotadd_testing::{Need, skip};
use hotadd_verify::report::Report;

use crate::html::text;
use crate::sample::{hostile, report};

/// What the browser makes of a page, and what it complains of. Nothing, if there is no browser.
fn shown(report: &Report) -> Option<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("report.html");
    std::fs::write(&page, text(report)).unwrap();
    let mut browser = Command::new("chromium");
    // As root it would not start with its own sandbox. It is given only this page.
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    browser.args(["--no-first-run", "--disable-background-networking", "--enable-logging=stderr"]);
    browser.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    browser.arg("--dump-dom").arg(format!("file://{}", page.display()));
    let output = match browser.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [dom, log] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Some((dom, log))
}

#[test]
fn a_browser_shows_the_page_and_applies_its_style() {
    let Some((dom, log)) = shown(&report()) else {
        return skip(Need::Program("chromium"), "the page in a browser");
    };
    assert!(dom.contains("<article id=\"finding-1\""), "{dom}");
    // It would drop or add elements where the page is not HTML.
    assert_eq!(dom.matches("<tr").count(), text(&report()).matches("<tr").count());
    assert!(!log.contains("Content Security Policy"), "{log}");
}

#[test]
fn a_browser_runs_nothing_of_a_hostile_driver() {
    let Some((dom, log)) = shown(&hostile()) else {
        return skip(Need::Program("chromium"), "a hostile page in a browser");
    };
    assert!(!dom.contains("<script"), "{dom}");
    let tags = |page: &str| page.matches('<').count();
    assert_eq!(tags(&dom), tags(&shown(&report()).unwrap().0), "no text makes markup");
    assert!(!log.contains("Content Security Policy"), "{log}");
}
