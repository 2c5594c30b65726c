//! `hotadd doctor --shadow DIR` writes files that override those of the distribution.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::common::{stderr, stdout};
use crate::kit::Root;
use crate::udev::REDHAT;

const ORIGINAL: &str = "usr/lib/udev/rules.d/40-redhat.rules";
const SHADOW: &str = "etc/udev/rules.d/40-redhat.rules";

/// A root with a distribution's rules and the administrator's folder.
fn root() -> Root {
    let root = Root::new();
    root.file(ORIGINAL, REDHAT);
    fs::create_dir_all(root.path("etc/udev/rules.d")).unwrap();
    root
}

fn shadow(root: &Root) -> Output {
    root.hotadd(&["--shadow", root.path("etc/udev/rules.d").to_str().unwrap()])
}

#[track_caller]
fn check(output: &Output, status: i32, said: &str) {
    let text = stdout(output);
    assert_eq!(output.status.code(), Some(status), "{text}{}", stderr(output));
    assert!(text.contains(said), "it does not say {said:?}: {text}");
}

fn read(root: &Root, path: &str) -> String {
    fs::read_to_string(root.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_shadow_comments_out_the_rule_and_keeps_the_others() {
    let root = root();
    check(&shadow(&root), 0, "udevadm control --reload");
    let written = read(&root, SHADOW);
    let rules = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(rules(&written), rules(REDHAT)[1..], "all rules but the first are kept: {written}");
    let commented = format!("# {}", REDHAT.lines().nth(1).unwrap());
    assert!(written.contains(&commented), "the rule became a comment: {written}");
    let mode = fs::metadata(root.path(SHADOW)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "udev and every user may read it");
    assert_eq!(root.problems(), [""; 0], "no problem is left");
    let files = fs::read_dir(root.path("etc/udev/rules.d")).unwrap().count();
    assert_eq!(files, 1, "no other file is left in the folder");
}

#[test]
fn an_up_to_date_shadow_is_not_written_again() {
    let root = root();
    check(&shadow(&root), 0, "written");
    let before = fs::metadata(root.path(SHADOW)).unwrap();
    check(&shadow(&root), 0, "kept");
    let after = fs::metadata(root.path(SHADOW)).unwrap();
    let id = |file: &fs::Metadata| {
        use std::os::unix::fs::MetadataExt;
        (file.ino(), file.mtime_nsec())
    };
    assert_eq!(id(&before), id(&after), "the file is unchanged");
}

#[test]
fn a_shadow_of_a_changed_original_is_reported_until_it_is_written_again() {
    let root = root();
    check(&shadow(&root), 0, "written");
    check(&root.hotadd(&[]), 0, "nothing brings processors online");
    root.file(ORIGINAL, &format!("{REDHAT}KERNEL==\"rtc0\", SYMLINK+=\"rtc\"\n"));
    check(
        &root.hotadd(&[]),
        0,
        "a shadow is out of date: /usr/lib/udev/rules.d/40-redhat.rules has changed",
    );
    check(&shadow(&root), 0, "written");
    assert!(read(&root, SHADOW).contains("\nKERNEL==\"rtc0\""), "the new rule is in the shadow");
    assert!(!stdout(&root.hotadd(&[])).contains("out of date"));
}

#[test]
fn a_shadow_that_is_not_needed_is_reported() {
    let root = root();
    check(&shadow(&root), 0, "written");
    root.file(ORIGINAL, "KERNEL==\"rtc0\", SYMLINK+=\"rtc\"\n");
    check(&shadow(&root), 0, "no longer brings processors online; this override can be deleted");
    fs::remove_file(root.path(ORIGINAL)).unwrap();
    check(&shadow(&root), 0, "the file that it replaces no longer exists");
    check(&root.hotadd(&[]), 0, "which no longer exists");
}

#[test]
fn a_file_that_hotadd_did_not_write_is_never_overwritten() {
    // This file overrides the original and brings processors online itself.
    let own = root();
    own.file(SHADOW, REDHAT);
    check(&shadow(&own), 1, "it is the file to be replaced; put # before line 2 of it");
    assert_eq!(read(&own, SHADOW), REDHAT);
    check(&own.hotadd(&[]), 1, "put # before line 2, then udevadm control --reload");

    // A shadow that was edited.
    let edited = root();
    check(&shadow(&edited), 0, "written");
    let text = read(&edited, SHADOW) + "KERNEL==\"mine\", SYMLINK+=\"mine\"\n";
    edited.file(SHADOW, &text);
    check(&shadow(&edited), 1, "it was edited after");
    assert_eq!(read(&edited, SHADOW), text);

    // A file in a folder that udev does not read.
    let apart = root();
    apart.file("stage/40-redhat.rules", "mine\n");
    let said = apart.hotadd(&["--shadow", apart.path("stage").to_str().unwrap()]);
    check(&said, 1, "a file exists that hotadd doctor did not write");
    assert_eq!(read(&apart, "stage/40-redhat.rules"), "mine\n");
}

#[test]
fn links_are_not_followed() {
    let root = root();
    root.file("elsewhere", "mine\n");
    fs::create_dir(root.path("stage")).unwrap();
    root.link("stage/40-redhat.rules", root.path("elsewhere").to_str().unwrap());
    let said = root.hotadd(&["--shadow", root.path("stage").to_str().unwrap()]);
    check(&said, 1, "refused");
    assert_eq!(read(&root, "elsewhere"), "mine\n");
}

#[test]
fn a_shadow_that_would_have_no_effect_is_refused() {
    let root = root();
    root.file("run/udev/rules.d/40-redhat.rules", REDHAT);
    let said = root.hotadd(&["--shadow", root.path("usr/lib/udev/rules.d").to_str().unwrap()]);
    check(
        &said,
        1,
        "/run/udev/rules.d/40-redhat.rules takes precedence over it; put # before line 2",
    );
    assert_eq!(read(&root, ORIGINAL), REDHAT);
}

#[test]
fn a_shadow_too_large_to_be_read_back_is_refused() {
    let root = root();
    root.file(ORIGINAL, &"SUBSYSTEM==\"cpu\", ATTR{online}=\"1\"\n".repeat(20_000));
    let said = shadow(&root);
    check(&said, 1, "it would have more than 1048576 bytes");
    assert!(said.stdout.len() < 100_000, "not all of the 20,000 rules are listed");
    assert!(!root.path(SHADOW).exists());
}

#[test]
fn shadows_can_be_written_to_a_folder_that_udev_does_not_read() {
    let root = root();
    fs::create_dir(root.path("stage")).unwrap();
    let said = root.hotadd(&["--json", "--shadow", root.path("stage").to_str().unwrap()]);
    let seen = crate::kit::seen(&said);
    assert_eq!(seen.status, 1, "the rule is still in effect: {:?}", seen.findings);
    assert_eq!(seen.shadows[0]["outcome"], "written", "{:?}", seen.shadows);
    assert!(read(&root, "stage/40-redhat.rules").contains("LABEL=\"behind\""));
}

#[test]
fn a_shadow_folder_that_does_not_exist_is_bad_usage() {
    let root = root();
    for dir in ["/nowhere/at/all", "/etc/passwd"] {
        let said = root.hotadd(&["--shadow", dir]);
        assert_eq!(said.status.code(), Some(2), "{dir}");
        assert!(
            stderr(&said).contains(&format!("--shadow: {dir} cannot be used")),
            "{}",
            stderr(&said)
        );
        assert!(said.stdout.is_empty(), "the doctor does nothing else");
    }
}

#[test]
fn a_shadow_folder_that_links_into_a_store_is_refused_with_advice() {
    // Into a store that does not exist.
    let missing = Root::new();
    missing.file(ORIGINAL, REDHAT);
    missing.link("etc/udev/rules.d", missing.path("nix/store/x-udev-rules").to_str().unwrap());
    // Into a store that nobody can write to, not even root.
    let closed = Root::new();
    closed.file(ORIGINAL, REDHAT);
    closed.link("etc/udev/rules.d", "/sys/kernel");
    let roots = [missing, closed];
    for root in &roots {
        let said = shadow(root);
        let told = stderr(&said);
        assert_eq!(said.status.code(), Some(2), "{told}");
        for part in [
            "--shadow: ",
            "cannot be used",
            "is a link to",
            "nothing was written",
            "--shadow DIR",
            "NixOS",
        ] {
            assert!(told.contains(part), "it does not say {part:?}: {told}");
        }
        assert!(said.stdout.is_empty(), "the doctor does nothing else");
    }
    assert!(!roots[0].path("nix").exists(), "no store was made");
    assert!(!roots[1].path("etc/udev/rules.d/40-redhat.rules").exists());
}
