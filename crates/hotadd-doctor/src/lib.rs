//! Finds whether something else on a machine brings processors online, and what to do about it.
//!
//! A [`Root`] is the system below a folder. [`Root::examine`] looks for everything that writes to a processor's switch: udev
//! rules, systemd units, scripts, cron, the initramfs, agents of hypervisors and clouds, settings of the kernel. [`Root::shadow`]
//! writes udev rules that replace those that bring processors online. Nothing below a root is run, and nothing else is written.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod agents;
mod command;
mod cron;
mod finding;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod hooks;
mod hotplug;
mod initramfs;
mod known_agents;
mod machine;
mod opaque;
mod owner;
mod programs;
mod script;
mod settings;
mod shell;
mod told;
mod tree;
mod udev;
mod units;

use std::io;
use std::path::Path;

use self::command::Follower;
pub use self::finding::{Finding, Level, Place};
use self::tree::Tree;
use self::udev::cover;
pub use self::udev::cover::{Outcome, Shadow};
use self::units::Units;

/// The most findings that are reported.
const FINDINGS: usize = 1000;

/// The system below a folder. This machine's own system is that of `/`.
pub struct Root(Tree);

impl Root {
    /// Opens a folder.
    ///
    /// # Errors
    /// `path` is not a folder, or may not be examined.
    pub fn open(path: &Path) -> io::Result<Self> {
        Tree::new(path).map(Self)
    }

    /// Writes a file into `dir` (normally `/etc/udev/rules.d`) for each udev rules file that brings processors online. The new
    /// file replaces that file, without the rules that do so.
    ///
    /// # Errors
    /// `dir` is not a folder, or cannot be written to.
    pub fn shadow(&self, dir: &Path) -> io::Result<Vec<Shadow>> {
        cover::all(&self.0, &Follower::new(&self.0), dir)
    }

    /// All findings, the most severe first.
    #[must_use]
    pub fn examine(&self) -> Vec<Finding> {
        let tree = &self.0;
        let follower = Follower::new(tree);
        let wanted = udev::wanted_units(tree).into_iter().chain(units::activated(tree));
        let mut units = Units::read(tree, wanted);
        let mut findings = udev::check(tree, &follower);
        findings.extend(initramfs::check(tree, &follower));
        findings.extend(hotplug::check(tree, &follower));
        findings.extend(cron::check(tree, &follower));
        findings.extend(hooks::check(tree, &follower, &units));
        findings.extend(settings::check(tree, &follower));
        findings.extend(machine::check(tree));
        // Commands that were followed start units, and these may start others.
        let mut of_units = units.check(&follower);
        while units.start(&follower.wanted_units()) {
            of_units.extend(units.check(&follower));
        }
        findings.extend(of_units);
        findings.extend(agents::check(tree, &units));
        findings.extend(owner::check(tree, &units));
        findings.extend(tree.unread().into_iter().map(|unread| {
            Finding::new(Level::CannotTell, format!("not examined: {}", unread.reason))
                .at(&unread.path, None)
                .why("its contents may bring processors online")
                .fix("run hotadd doctor as root, or check it by hand")
        }));
        findings.sort_by_key(|finding| finding.level);
        let more = findings.len().saturating_sub(FINDINGS);
        if more > 0 {
            findings.truncate(FINDINGS);
            let what = format!("{more} further findings are not shown");
            findings
                .push(Finding::new(Level::CannotTell, what).fix("deal with the shown ones first"));
        }
        findings
    }
}

/// The answer: the most severe level, or None if nothing was found. Notes do not change the answer.
#[must_use]
pub fn answer(findings: &[Finding]) -> Option<Level> {
    let levels = findings.iter().map(|finding| finding.level);
    levels.min().filter(|level| *level != Level::Note)
}

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
