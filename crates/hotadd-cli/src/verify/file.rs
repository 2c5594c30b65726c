//! A driver's file: each scenario is played by a process of its own, which is this program again.

use std::process::ExitCode;

use hotadd_daemon::spec::FileSpec;
use hotadd_verify::report::Report;

use crate::args::Verify;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod here {
    use super::{ExitCode, FileSpec, Report, Verify};

    pub(super) fn verified(_: &Verify, _: &FileSpec) -> Result<Report, String> {
        Err("drivers' files need x86-64 Linux, and this is another system".to_owned())
    }

    pub(super) fn stage() -> ExitCode {
        ExitCode::FAILURE
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod here {
    use hotadd::text::clean;
    use hotadd_verify::{Options, verify};

    use super::{ExitCode, FileSpec, Report, Verify};
    use crate::verify::bar::Bar;
    use crate::verify::{command, depth, refuse};

    pub(super) fn stage() -> ExitCode {
        hotadd_verify::stage::run()
    }

    pub(super) fn verified(args: &Verify, spec: &FileSpec) -> Result<Report, String> {
        check(args, spec)?;
        let this = std::env::current_exe()
            .map_err(|error| format!("this program cannot be found: {error}"))?;
        let options = Options {
            stage: vec![this.into(), "verify-stage".into()],
            depth: depth(args),
            scenario: args.scenario.clone(),
            seed: args.seed,
            time_limit: args.driver.timeout.unwrap_or(args.timeout),
            side_by_side: std::thread::available_parallelism().map_or(1, usize::from),
            command: command(args),
        };
        // A driver that cannot be read or loaded at all is one error, and not one for each scenario.
        let inspected = hotadd_nt::File::read(&spec.path).and_then(|file| file.inspect());
        let inspection = inspected.map_err(|error| {
            let (path, error) = (spec.path.display().to_string(), error.to_string());
            if error.contains(&path) { error } else { format!("{}: {error}", clean(&path)) }
        })?;
        if let Some(framework) = inspection.frameworks.iter().find(|one| one.at_start) {
            let path = spec.path.display().to_string();
            let (path, name) = (clean(&path), framework.name);
            return Err(format!("{path}: it is a driver for {name}, which hotadd does not host"));
        }
        let mut bar = Bar::new();
        let report = verify(&spec.path, &options, |progress| bar.show(progress));
        bar.clear();
        report.map_err(|error| error.to_string())
    }

    /// The option `timeout` is the only one that has a meaning. The name and the level make no difference.
    fn check(args: &Verify, spec: &FileSpec) -> Result<(), String> {
        if spec.alloc_fail.is_some() {
            refuse("alloc-fail", "every call that can fail is made to fail")?;
        }
        if spec.strict {
            refuse("strict", "`hotadd inspect` shows the imports that are not provided")?;
        }
        if spec.restarts > 0 {
            refuse("restart", "a driver that fails is reported, and not started again")?;
        }
        if args.driver.when_missing.is_some() {
            refuse(
                "when-missing",
                "a driver that fails is reported, and nothing is added without it",
            )?;
        }
        Ok(())
    }
}

/// Plays one scenario.
pub(crate) fn stage() -> ExitCode {
    here::stage()
}

/// Verifies a driver's file.
pub(super) fn verified(args: &Verify, spec: &FileSpec) -> Result<Report, String> {
    here::verified(args, spec)
}
