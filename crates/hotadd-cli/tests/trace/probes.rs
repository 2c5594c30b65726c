//! The USDT probe, as a tracer finds it in the program.

use std::io::ErrorKind;
use std::process::Command;

use hotadd_testing::{Need, skip};

#[test]
fn the_program_has_a_probe_for_events_with_seven_arguments() {
    let mut readelf = Command::new("readelf");
    readelf.args(["--notes", "--wide", env!("CARGO_BIN_EXE_hotadd")]);
    let output = match readelf.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return skip(Need::Program("readelf"), "the probe of the program");
        }
        output => output.unwrap(),
    };
    let notes = String::from_utf8(output.stdout).unwrap();
    let (_, probe) =
        notes.split_once("Provider: hotadd").unwrap_or_else(|| panic!("no probe: {notes}"));
    let line = |key: &str| {
        let found = probe.lines().find_map(|line| line.trim().strip_prefix(key));
        found.unwrap_or_else(|| panic!("no {key} {probe}")).trim().to_owned()
    };
    assert_eq!(line("Name:"), "event");
    assert_eq!(line("Arguments:").split_whitespace().count(), 7, "{probe}");
}
