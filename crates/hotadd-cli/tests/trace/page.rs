//! The page in a browser.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use hotadd_testing::{Need, skip};

use crate::common::{output, stderr};

/// The names that a party of the first trace has. A browser must not see anything in them but text.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>";

/// Writes the page of a run into a folder.
fn page(folder: &Path) -> String {
    let [trace, page] =
        ["trace.json", "page.html"].map(|name| folder.join(name).display().to_string());
    let driver = format!("sample:veto=3,name={HOSTILE}");
    let run = [
        "run",
        "--simulate",
        "2+3,fail-start=4",
        "--every",
        "0s",
        "--driver",
        &driver,
        "--trace",
        &trace,
    ];
    let run = output(&run);
    assert!(run.status.success(), "{}", stderr(&run));
    let made = output(&["trace", "--html", &trace, "-o", &page]);
    assert!(made.status.success(), "{}", stderr(&made));
    page
}

/// What the browser makes of a page, and what it complains of. Nothing, if there is no browser.
fn shown(folder: &Path, page: &str, at: &str) -> Option<(String, String)> {
    let mut browser = Command::new("chromium");
    // As root it would not start with its own sandbox. It is given only this page.
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    browser.args(["--no-first-run", "--disable-background-networking", "--enable-logging=stderr"]);
    browser.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    browser.arg("--dump-dom").arg(format!("file://{page}{at}"));
    let output = match browser.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [dom, log] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Some((dom, log))
}

/// The state of a processor, as the page shows it.
fn state(dom: &str, id: u32) -> &str {
    let tile = format!("<span class=\"id\">{id}</span>");
    let rest = dom.split_once(&tile).unwrap_or_else(|| panic!("no processor {id}: {dom}")).1;
    rest.split_once("class=\"word\">").unwrap().1.split_once('<').unwrap().0
}

#[test]
fn a_browser_replays_the_run_and_sees_nothing_in_names_but_text() {
    let folder = tempfile::tempdir().unwrap();
    let page = page(folder.path());
    let Some((dom, log)) = shown(folder.path(), &page, "") else {
        return skip(Need::Program("chromium"), "the page of a trace in a browser");
    };
    assert!(dom.contains("data-ready=\"true\""), "the script ran to its end: {log}");
    assert!(!log.contains("Content Security Policy") && !log.contains("Uncaught"), "{log}");
    // Without a moment in the address it shows how the run came out.
    let states: Vec<_> = (0..5).map(|id| state(&dom, id)).collect();
    assert_eq!(states, ["active", "active", "active", "refused", "refused"]);
    assert!(!dom.contains("<img") && dom.matches("<script").count() == 2, "{dom}");
    assert!(
        dom.contains("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;: AddStart 3")
            || dom.contains("(level 0): AddStart 3, refused")
    );
    assert!(dom.contains("STATUS_INSUFFICIENT_RESOURCES"), "the reason of the refusal");
    // At the start nothing has been decided.
    let (dom, _) = shown(folder.path(), &page, "#t=0").unwrap();
    let states: Vec<_> = (0..5).map(|id| state(&dom, id)).collect();
    assert_eq!(states, ["active", "active", "off", "off", "off"]);
}

#[test]
fn a_page_is_made_of_a_trace_only() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.json");
    fs::write(&other, "{\"traceEvents\": []}").unwrap();
    let refused = output(&["trace", "--html", other.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("it is not a trace of hotadd"), "{}", stderr(&refused));
    let missing = output(&["trace", "--html", "/nonexistent.json"]);
    assert!(stderr(&missing).contains("/nonexistent.json: No such file"), "{}", stderr(&missing));
}
