//! `hotadd kit`: writes what is needed for building drivers.

use std::path::Path;
use std::process::ExitCode;

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub(crate) fn run(_: &Path) -> ExitCode {
    crate::say::wrong("Windows drivers need x86-64 Linux, and this is another system");
    ExitCode::FAILURE
}

/// Writes the kit. Returns the exit status.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(crate) fn run(dir: &Path) -> ExitCode {
    if let Err(error) = hotadd_nt::kit::write(dir) {
        crate::say::wrong(error);
        return ExitCode::FAILURE;
    }
    let compiler = dir.join("bin/sys-cc");
    let text = format!(
        "{dir}: the kit is written. {dir}/README.md describes it; one way to use it:\n  {compiler} -O2 driver.c -o driver.sys\n",
        dir = hotadd::text::clean(&dir.display().to_string()),
        compiler = hotadd::text::clean(&compiler.display().to_string()),
    );
    crate::say::whole(&text);
    ExitCode::SUCCESS
}
