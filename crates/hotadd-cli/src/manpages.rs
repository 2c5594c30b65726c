//! `hotadd man` and `hotadd completions`: files that packages install beside the command, generated from its arguments.

use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;

/// Writes a man page for `hotadd` and for each command that is not hidden.
pub(crate) fn man(dir: &Path) -> ExitCode {
    match clap_mangen::generate_to(Cli::command(), dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            crate::say::wrong(format!(
                "the man pages cannot be written to {}: {error}",
                dir.display()
            ));
            ExitCode::FAILURE
        }
    }
}

/// Writes the completions for a shell to stdout.
pub(crate) fn completions(shell: Shell) -> ExitCode {
    // Collected first: clap_complete panics when its reader goes away.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hotadd", &mut script);
    crate::say::whole(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
