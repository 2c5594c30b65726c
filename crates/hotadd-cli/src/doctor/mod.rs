//! `hotadd doctor`: whether something else on this machine brings processors online, and what to do about it.

mod agents;
mod command;
mod cron;
mod finding;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod hooks;
mod hotplug;
mod initramfs;
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

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use self::command::Follower;
use self::finding::{Finding, Level};
use self::tree::Tree;
use self::udev::cover::{self, Covered, Outcome};
use self::units::Units;
use crate::args::Doctor;

/// So many findings are told.
const FINDINGS: usize = 1000;

/// Something is in the way.
const IN_THE_WAY: u8 = 1;
const USAGE: u8 = 2;
/// Nothing was found, and there is something that could not be looked at or followed.
const CANNOT_TELL: u8 = 3;

/// Looks, and says what it sees. Returns the exit status.
pub(crate) fn run(args: &Doctor) -> ExitCode {
    let tree = match Tree::new(&args.root) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("hotadd: --root: {} cannot be looked at: {error}", args.root.display());
            return ExitCode::from(USAGE);
        }
    };
    let covered = match args
        .shadow
        .as_ref()
        .map(|dir| cover::all(&tree, &Follower::new(&tree), dir))
        .transpose()
    {
        Ok(covered) => covered.unwrap_or_default(),
        Err(error) => {
            let dir = args.shadow.as_deref().unwrap_or(Path::new("")).display();
            eprintln!("hotadd: --shadow: {dir} cannot be used: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let findings = examine(&tree);
    let answer = answer(&findings);
    let text = if args.json {
        let findings: Vec<_> = findings.iter().map(Finding::json).collect();
        let shadows: Vec<_> = covered.iter().map(Covered::json).collect();
        format!(
            "{}\n",
            json!({ "answer": answer.map_or("clear", Level::name), "clear": answer.is_none(), "findings": findings, "shadows": shadows })
        )
    } else {
        let done: String = covered.iter().map(Covered::shown).collect();
        let written = covered.iter().any(|covered| covered.outcome == Outcome::Written);
        let next = if written { "now: udevadm control --reload\n" } else { "" };
        format!("{done}{next}{}", shown(&findings))
    };
    crate::say::whole(&text);
    let refused = covered.iter().any(|covered| covered.outcome == Outcome::Refused);
    match answer {
        Some(Level::Problem) => ExitCode::from(IN_THE_WAY),
        _ if refused => ExitCode::from(IN_THE_WAY),
        Some(Level::CannotTell) => ExitCode::from(CANNOT_TELL),
        Some(Level::Note) | None => ExitCode::SUCCESS,
    }
}

/// What weighs most; None if all is clear.
fn answer(findings: &[Finding]) -> Option<Level> {
    let levels = findings.iter().map(|finding| finding.level);
    levels.min().filter(|level| *level != Level::Note)
}

/// Everything that there is to say, what weighs most first.
fn examine(tree: &Tree) -> Vec<Finding> {
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
    // What was followed so far starts units, and these may start others.
    let mut of_units = units.check(&follower);
    while units.start(&follower.wanted_units()) {
        of_units.extend(units.check(&follower));
    }
    findings.extend(of_units);
    findings.extend(agents::check(tree, &units));
    findings.extend(owner::check(tree, &units));
    findings.extend(tree.unread().into_iter().map(|unread| {
        Finding::new(Level::CannotTell, format!("not looked at: {}", unread.reason))
            .at(&unread.path, None)
            .why("what is in it may bring processors online")
            .fix("run hotadd doctor as root, or look yourself")
    }));
    findings.sort_by_key(|finding| finding.level);
    let more = findings.len().saturating_sub(FINDINGS);
    if more > 0 {
        findings.truncate(FINDINGS);
        let what = format!("{more} further findings are not told");
        findings.push(Finding::new(Level::CannotTell, what).fix("see to these first"));
    }
    findings
}

/// For a person.
fn shown(findings: &[Finding]) -> String {
    let mut text: String = findings.iter().map(Finding::shown).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, unknown) = (count(Level::Problem), count(Level::CannotTell));
    text += &match answer(findings) {
        Some(Level::Problem) => {
            format!(
                "problem: something brings processors online: {problems} found, {unknown} that cannot be told\n"
            )
        }
        Some(Level::CannotTell) => format!(
            "cannot tell: nothing was found that brings processors online, and {unknown} cannot be told\n"
        ),
        Some(Level::Note) | None => "clear: nothing brings processors online\n".to_owned(),
    };
    text
}
