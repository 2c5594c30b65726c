//! What tests need of a machine, and what happens where it is missing: the test is skipped, in a line that says why.
//!
//! A test that is skipped has shown nothing. So `./test` says at its beginning what this machine lacks (`HOTADD_LACKS`), counts
//! at its end what was skipped for it (`HOTADD_SKIPPED`), and where `CI` is set a test fails that is skipped for anything else.

pub mod trace;

use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;

use rustix::process::geteuid;
use rustix::thread::{CpuSet, sched_getaffinity};

/// Whether tests run the whole of what they otherwise choose from: `HOTADD_WHOLE` is set.
#[must_use]
pub fn whole() -> bool {
    env::var_os("HOTADD_WHOLE").is_some()
}

/// What a test needs of the machine it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To be root: processes and files of other users, a bus like the machine's.
    Root,
    /// To be anybody but root, who may do what is to be refused.
    AnotherUser,
    /// Two processors that the process may run on.
    TwoProcessors,
    /// Processors 0 and 1 among those that the process may run on.
    FirstTwo,
    /// A possible processor that is offline.
    OfflineProcessor,
    /// The kernel's messages about devices, also about one that somebody asks for.
    Uevents,
    /// To create a cgroup with the CPU controller.
    CpuQuota,
    /// polkit and a configuration of a system bus.
    Polkit,
    /// The compilers that the committed drivers were built with.
    Clang14,
    /// A kernel that tells the NUMA node of a page.
    Numa,
    /// A C compiler that knows OpenMP.
    OpenMp,
    /// A program: a runtime that is tried, a browser that shows a page.
    Program(&'static str),
    /// A library that a runtime or an allocator is tried with.
    Library(&'static str),
}

impl Need {
    /// As `./test` and the summary call it.
    fn key(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::AnotherUser => "another-user",
            Self::TwoProcessors => "two-processors",
            Self::FirstTwo => "first-two-processors",
            Self::OfflineProcessor => "offline-processor",
            Self::Uevents => "uevents",
            Self::CpuQuota => "cpu-quota",
            Self::Polkit => "polkit",
            Self::Clang14 => "clang-14",
            Self::Numa => "numa",
            Self::OpenMp => "openmp",
            Self::Program(name) | Self::Library(name) => name,
        }
    }

    /// Whether this machine has it. If not, reports that `test` is skipped. Only for users and processors: a test finds out
    /// by itself whether the machine has the others, and calls [`skip`].
    ///
    /// # Panics
    /// As [`skip`], and for a need that only the test can check.
    #[must_use]
    pub fn is_met(self, test: &str) -> bool {
        let met = match self {
            Self::Root => geteuid().is_root(),
            Self::AnotherUser => !geteuid().is_root(),
            Self::TwoProcessors => {
                sched_getaffinity(None).is_ok_and(|set: CpuSet| set.count() >= 2)
            }
            Self::FirstTwo => {
                sched_getaffinity(None).is_ok_and(|set: CpuSet| set.is_set(0) && set.is_set(1))
            }
            other => panic!("{test} must check by itself whether there is {other}"),
        };
        if !met {
            skip(self, test);
        }
        met
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key())
    }
}

/// Says that a test, or a part of one, is skipped.
///
/// # Panics
/// Where `CI` is set, if `./test` has not said that this is missing: then a test that shows nothing would pass for one that shows
/// something.
pub fn skip(need: Need, test: &str) {
    let announced = env::var("HOTADD_LACKS").unwrap_or_default();
    let announced = announced.split_whitespace().any(|key| key == need.key());
    assert!(
        announced || env::var_os("CI").is_none(),
        "{test} needs {need}, which is missing, and ./test has not said so at its beginning"
    );
    eprintln!("skipped: {test}: needs {need}");
    if let Some(path) = env::var_os("HOTADD_SKIPPED") {
        // One write a line: tests of many processes write to it.
        let line = format!("{need}\t{test}\n");
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::{Need, skip};

    /// This test again, in a process of its own with these variables: whether it was content to skip.
    fn skips(variables: &[(&str, &str)]) -> bool {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", "tests::an_unannounced_skip_fails_in_ci"]);
        again.env_remove("CI").env_remove("HOTADD_LACKS").env_remove("HOTADD_SKIPPED");
        again.env("HOTADD_TESTING_SKIPS", "1").envs(variables.iter().copied());
        again.output().unwrap().status.success()
    }

    #[test]
    fn an_unannounced_skip_fails_in_ci() {
        if env::var_os("HOTADD_TESTING_SKIPS").is_some() {
            skip(Need::Clang14, "this");
            return;
        }
        assert!(skips(&[]), "on a person's machine it is a line");
        assert!(!skips(&[("CI", "true")]));
        assert!(!skips(&[("CI", "true"), ("HOTADD_LACKS", "root openmp")]), "another lack");
        assert!(skips(&[("CI", "true"), ("HOTADD_LACKS", "root clang-14")]));

        let file = env::temp_dir().join(format!("hotadd-skipped-{}", std::process::id()));
        let path = file.to_str().unwrap();
        assert!(skips(&[("HOTADD_SKIPPED", path)]) && skips(&[("HOTADD_SKIPPED", path)]));
        let counted = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(counted, "clang-14\tthis\nclang-14\tthis\n", "the summary counts both");
    }
}
