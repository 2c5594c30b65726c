//! The `hotadd` command: adds processors to running programs, with the consent of all parties.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod args;
mod ask;
mod daemon;
mod doctor;
mod inspect;
mod kit;
mod manpages;
mod run;
mod say;
mod tui;
mod verify;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use crate::args::{Command, Config};

fn main() -> ExitCode {
    let code = match args::parse().command {
        Command::Run(run) => run::run(*run),
        Command::Status(ask) => ask::report(ask::status(&ask)),
        Command::Parties(ask) => ask::report(ask::parties(&ask)),
        Command::Add(change) => ask::report(ask::change(&change, true)),
        Command::Remove(change) => ask::report(ask::change(&change, false)),
        Command::Rehearse(rehearse) => ask::report(ask::rehearse(&rehearse)),
        Command::Watch(watch) => watch::run(&watch),
        Command::History(history) => ask::report(ask::history(&history)),
        Command::Daemon(daemon) => daemon::run(&daemon),
        Command::Config(Config::Check { file }) => daemon::check(file.as_deref()),
        Command::Inspect(file) => inspect::run(&file),
        Command::Kit { dir } => kit::run(&dir),
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Man { dir } => manpages::man(&dir),
        Command::Completions { shell } => manpages::completions(shell),
        Command::Host(host) => {
            let hosted =
                hotadd_daemon::host::run(&host.driver, Duration::from_millis(host.time_limit));
            hosted.unwrap_or_else(|why| {
                say::wrong(why);
                ExitCode::FAILURE
            })
        }
        Command::Verify(verify) => verify::run(&verify),
        Command::VerifyStage => verify::stage(),
        Command::Workload => hotadd_run::workload::run(),
    };
    say::finish(code)
}
