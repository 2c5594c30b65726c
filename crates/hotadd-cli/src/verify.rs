//! `hotadd verify`: verifies a driver, shows how far it is, and writes the reports.

use std::process::ExitCode;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod here {
    use super::ExitCode;

    pub(crate) fn run(_: &crate::args::Verify) -> ExitCode {
        crate::say::wrong("Windows drivers need x86-64 Linux, and this is another system");
        ExitCode::from(2)
    }

    pub(crate) fn stage() -> ExitCode {
        ExitCode::FAILURE
    }
}

pub(crate) use here::{run, stage};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod here {
    use std::io::{IsTerminal, Write};
    use std::path::Path;

    use hotadd_verify::report::Report;
    use hotadd_verify::{Depth, Options, Progress, verify};

    use super::ExitCode;
    use crate::args::Verify;
    use crate::say;

    /// The exit status if the driver could not be verified.
    const COULD_NOT: u8 = 2;

    /// Plays one scenario.
    pub(crate) fn stage() -> ExitCode {
        hotadd_verify::stage::run()
    }

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
        let this = std::env::current_exe()
            .map_err(|error| format!("this program cannot be found: {error}"))?;
        let options = Options {
            stage: vec![this.into(), "verify-stage".into()],
            depth: match (args.quick, args.thorough) {
                (true, _) => Depth::Quick,
                (_, true) => Depth::Thorough,
                _ => Depth::Normal,
            },
            scenario: args.scenario.clone(),
            seed: args.seed,
            time_limit: args.timeout,
            side_by_side: std::thread::available_parallelism().map_or(1, usize::from),
            command: format!("hotadd verify {}", shell(&args.file)),
        };
        // A driver that cannot be read or loaded at all is one error, and not one for each scenario.
        let inspected = hotadd_nt::File::read(&args.file).and_then(|file| file.inspect());
        inspected.map_err(|error| error.to_string())?;
        let mut bar = Bar::new();
        let report = verify(&args.file, &options, |progress| bar.show(progress))
            .map_err(|error| error.to_string());
        bar.clear();
        let report = report?;
        write(args, &report)?;
        Ok(report)
    }

    /// Writes the reports.
    fn write(args: &Verify, report: &Report) -> Result<(), String> {
        let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())?;
        say::whole(&format!("{text}\n"));
        let _ = args;
        Ok(())
    }

    /// A path as a shell takes it.
    fn shell(path: &Path) -> String {
        let text = path.display().to_string();
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    }

    /// The progress, on a terminal.
    struct Bar {
        is_terminal: bool,
    }

    impl Bar {
        fn new() -> Self {
            Self { is_terminal: std::io::stderr().is_terminal() }
        }

        fn show(&mut self, progress: &Progress) {
            if !self.is_terminal {
                return;
            }
            const WIDTH: usize = 30;
            let done = WIDTH * progress.done / progress.all.max(1);
            let bar: String = (0..WIDTH).map(|at| if at < done { '#' } else { '.' }).collect();
            let name: String = progress.scenario.chars().take(40).collect();
            // An error here is none of the verification's.
            let _ = write!(
                std::io::stderr(),
                "\r\x1b[K[{bar}] {}/{} {name}",
                progress.done,
                progress.all
            );
        }

        fn clear(&mut self) {
            if self.is_terminal {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        }
    }
}
