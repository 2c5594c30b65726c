//! The daemon's configuration. An error is reported in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = hotadd_daemon::fuzzing::config(text);
});
