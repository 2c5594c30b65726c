//! `hotadd doctor`, on roots in the form of each distribution and on this machine.

#![expect(unreachable_pub, reason = "the modules are parts of this file")]

#[path = "doctor/calls.rs"]
mod calls;
mod common;
#[path = "doctor/corpus.rs"]
mod corpus;
#[path = "doctor/initramfs.rs"]
mod initramfs;
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
fn this_machine_is_examined_and_the_exit_status_is_the_answer() {
    let seen = kit::seen(&output(&["doctor", "--json"]));
    for finding in &seen.findings {
        assert!(!finding["what"].as_str().unwrap().is_empty(), "{finding}");
        assert!(
            !finding["do"].as_str().unwrap().is_empty(),
            "the finding says what to do: {finding}"
        );
    }
}

#[test]
fn an_empty_root_is_clear_and_says_so() {
    let root = Root::new();
    let said = root.hotadd(&[]);
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    let text = common::stdout(&said);
    assert!(text.ends_with("clear: nothing brings processors online\n"), "{text}");
}

#[test]
fn a_missing_root_is_bad_usage() {
    for root in ["/nowhere/at/all", "/etc/passwd"] {
        let said = output(&["doctor", "--root", root]);
        assert_eq!(said.status.code(), Some(2), "{root}");
        assert!(stderr(&said).contains(&format!("--root: {root} cannot be read")));
    }
}

#[test]
fn a_file_that_cannot_be_examined_is_not_clear() {
    let root = Root::new();
    root.file("usr/lib/udev/rules.d/40-long.rules", &"#".repeat((1 << 20) + 1));
    root.cannot_tell("not examined");
    let seen = root.seen();
    assert_eq!(seen.status, 3, "a rule may be in it");
    assert_eq!(seen.findings[0]["where"]["file"], "/usr/lib/udev/rules.d/40-long.rules");
}

#[test]
fn terminal_controls_in_names_are_not_printed() {
    let root = Root::new();
    root.file(
        "etc/udev/rules.d/40-\u{1b}[2J.rules",
        "SUBSYSTEM==\"cpu\", ATTR{online}=\"\u{1b}1\"\n",
    );
    let said = root.hotadd(&[]);
    assert_eq!(said.status.code(), Some(1));
    assert!(!said.stdout.contains(&0x1b), "{}", common::stdout(&said));
}

#[test]
fn the_help_lists_each_answer_with_its_exit_status() {
    let help = common::stdout(&output(&["doctor", "--help"])).replace('\n', " ");
    for said in ["0 for clear", "1 for problem", "3 for cannot tell", "2 for bad usage"] {
        assert!(help.contains(said), "no {said:?}: {help}");
    }
}

#[test]
fn the_last_line_is_one_of_three_answers() {
    for (rule, status, answer) in [
        ("SUBSYSTEM==\"cpu\", ATTR{online}=\"1\"\n", 1, "problem: "),
        ("SUBSYSTEM==\"cpu\", ATTR{online}=1\n", 3, "cannot tell: "),
        ("SUBSYSTEM==\"cpu\", SYMLINK+=\"x\"\n", 0, "clear: "),
    ] {
        let root = Root::new();
        root.file("etc/udev/rules.d/40-x.rules", rule);
        let said = root.hotadd(&[]);
        assert_eq!(said.status.code(), Some(status), "{rule}");
        let text = common::stdout(&said);
        let last = text.lines().next_back().unwrap_or_default();
        assert!(last.starts_with(answer), "{rule}: {text}");
    }
}
