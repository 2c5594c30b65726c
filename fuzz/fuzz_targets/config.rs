//! A configuration of the daemon: what is wrong with it is said in a line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = hotadd_daemon::fuzzing::config(text);
});
