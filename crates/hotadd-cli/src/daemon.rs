//! `hotadd daemon` and `hotadd config check`.

use std::path::Path;
use std::process::ExitCode;

use hotadd_daemon::{FILE, Failure};

use crate::args::{Daemon, LogFormat};
use crate::say;

const CANNOT_BEGIN: u8 = 1;
const USAGE: u8 = 2;

/// Runs the daemon. Returns the exit status.
pub(crate) fn run(args: &Daemon) -> ExitCode {
    let format = args.log_format.map(|format| match format {
        LogFormat::Text => hotadd_daemon::LogFormat::Text,
        LogFormat::Json => hotadd_daemon::LogFormat::Json,
    });
    match hotadd_daemon::run(args.config.clone(), format, args.trace.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Configuration) => ExitCode::from(USAGE),
        Err(Failure::CannotBegin) => ExitCode::from(CANNOT_BEGIN),
    }
}

/// Checks a configuration. Returns the exit status.
pub(crate) fn check(file: Option<&Path>) -> ExitCode {
    match hotadd_daemon::check(file) {
        Ok(()) => {
            say::line(format!("{}: ok", file.unwrap_or(Path::new(FILE)).display()));
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            say::note(&wrong);
            ExitCode::FAILURE
        }
    }
}
