//! `hotadd doctor`, on roots of each distribution's form and on this machine.

#![allow(unreachable_pub, reason = "the modules are parts of this file")]

mod common;
#[path = "doctor/kit.rs"]
mod kit;
#[path = "doctor/others.rs"]
mod others;
#[path = "doctor/shadow.rs"]
mod shadow;
#[path = "doctor/udev.rs"]
mod udev;

use common::{output, stderr};
use kit::Root;

#[test]
fn this_machine_is_looked_at_and_the_exit_status_is_what_was_found() {
    let seen = kit::seen(&output(&["doctor", "--json"]));
    let clear = seen.findings.iter().all(|finding| finding["level"] == "note");
    assert_eq!(seen.status, i32::from(!clear), "{:?}", seen.findings);
    for finding in &seen.findings {
        assert!(!finding["what"].as_str().unwrap().is_empty(), "{finding}");
        assert!(!finding["do"].as_str().unwrap().is_empty(), "what to do about it: {finding}");
    }
}

#[test]
fn an_empty_root_is_clear_and_says_so() {
    let root = Root::new();
    let said = root.hotadd(&[]);
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    let text = common::stdout(&said);
    assert!(text.ends_with("nothing brings processors online\n"), "{text}");
}

#[test]
fn a_root_that_is_not_there_is_bad_usage() {
    for root in ["/nowhere/at/all", "/etc/passwd"] {
        let said = output(&["doctor", "--root", root]);
        assert_eq!(said.status.code(), Some(2), "{root}");
        assert!(stderr(&said).contains(&format!("--root: {root} cannot be looked at")));
    }
}

#[test]
fn what_cannot_be_looked_at_is_not_called_clear() {
    let root = Root::new();
    root.file("usr/lib/udev/rules.d/40-long.rules", &"#".repeat((1 << 20) + 1));
    let seen = root.seen();
    assert_eq!(seen.status, 1, "a rule may be in it");
    assert_eq!(seen.findings[0]["level"], "unknown");
    assert_eq!(seen.findings[0]["where"]["file"], "/usr/lib/udev/rules.d/40-long.rules");
}

#[test]
fn names_that_a_terminal_would_obey_are_shown_harmlessly() {
    let root = Root::new();
    root.file(
        "etc/udev/rules.d/40-\u{1b}[2J.rules",
        "SUBSYSTEM==\"cpu\", ATTR{online}=\"\u{1b}1\"\n",
    );
    let said = root.hotadd(&[]);
    assert_eq!(said.status.code(), Some(1));
    assert!(!said.stdout.contains(&0x1b), "{}", common::stdout(&said));
}
