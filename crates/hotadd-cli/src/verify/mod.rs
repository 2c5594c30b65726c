//! `hotadd verify`: verifies a driver, shows how far it is, and writes the reports.

mod bar;
mod file;
mod party;
mod reports;

use std::process::ExitCode;

use hotadd_daemon::spec::What;
use hotadd_verify::Depth;
use hotadd_verify::report::Report;

pub(crate) use self::file::stage;
use self::reports::Files;
use crate::args::Verify;
use crate::say;

/// The exit status if the driver could not be verified.
const COULD_NOT: u8 = 2;

/// Verifies the driver. Returns the exit status.
pub(crate) fn run(args: &Verify) -> ExitCode {
    match verified(args) {
        Ok(report) if report.is_clean() => ExitCode::SUCCESS,
        Ok(report) if !report.findings.is_empty() => ExitCode::FAILURE,
        Ok(_) => ExitCode::from(COULD_NOT),
        Err(why) => {
            say::wrong(why);
            ExitCode::from(COULD_NOT)
        }
    }
}

fn verified(args: &Verify) -> Result<Report, String> {
    let files = Files::open(args)?;
    let report = match &args.driver.what {
        What::File(spec) => file::verified(args, spec)?,
        What::Sample(_) | What::Exec(_) => party::verified(args)?,
    };
    files.write(args, &report)?;
    Ok(report)
}

/// How much is tried.
const fn depth(args: &Verify) -> Depth {
    match (args.quick, args.thorough) {
        (true, _) => Depth::Quick,
        (_, true) => Depth::Thorough,
        _ => Depth::Normal,
    }
}

/// The command that does the same again.
fn command(args: &Verify) -> String {
    format!("hotadd verify {}", shell(&args.driver.text))
}

/// A word as a shell takes it.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// An option of a driver that has no meaning here.
fn refuse(option: &str, why: &str) -> Result<(), String> {
    Err(format!("the option {option} has no meaning for verify: {why}; leave it out"))
}
