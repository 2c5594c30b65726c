//! File lookups by our own libraries inside the sandbox are denied and do not end the process.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::ErrorKind;
use std::process::Command;

use hotadd_nt::sandbox;

/// Set in the process that enters the sandbox.
const INSIDE: &str = "HOTADD_TEST_INSIDE";

#[test]
fn lookups_of_our_own_libraries_are_denied_without_ending_the_process() {
    if std::env::var_os(INSIDE).is_some() {
        sandbox::drop_privileges().unwrap();
        sandbox::restrict(Box::new(|_, what| panic!("it is reported as a fault: {what}"))).unwrap();
        sandbox::confine().unwrap();
        let denied = std::fs::read("/etc/passwd").map(drop).map_err(|error| error.kind());
        // A failed assertion would open files for its message, so the status reports the result.
        std::process::exit(if denied == Err(ErrorKind::PermissionDenied) { 77 } else { 78 });
    }
    let name = "lookups_of_our_own_libraries_are_denied_without_ending_the_process";
    let inside = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert_eq!(inside.status.code(), Some(77), "{inside:?}");
}
