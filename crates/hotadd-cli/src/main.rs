//! The `hotadd` command: adds processors to running programs, with everybody's consent.

#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod args;
mod board;
mod run;
mod spec;
mod view;
mod workload;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(run) => run::run(&run),
        Command::Workload => workload::run(),
    }
}
