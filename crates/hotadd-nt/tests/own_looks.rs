//! What our own libraries look up in the sandbox they do without: it ends nobody.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::io::ErrorKind;
use std::process::Command;

use hotadd_nt::sandbox;

/// Set in the process that is put into the sandbox.
const INSIDE: &str = "HOTADD_TEST_INSIDE";

#[test]
fn what_is_looked_up_on_our_behalf_is_denied_and_ends_nobody() {
    if std::env::var_os(INSIDE).is_some() {
        sandbox::drop_privileges().unwrap();
        sandbox::restrict(Box::new(|_, what| panic!("it is told as a fault: {what}"))).unwrap();
        sandbox::confine().unwrap();
        let denied = std::fs::read("/etc/passwd").map(drop).map_err(|error| error.kind());
        // Nothing is opened for the words of a failed assertion either.
        std::process::exit(if denied == Err(ErrorKind::PermissionDenied) { 77 } else { 78 });
    }
    let name = "what_is_looked_up_on_our_behalf_is_denied_and_ends_nobody";
    let inside = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    assert_eq!(inside.status.code(), Some(77), "{inside:?}");
}
