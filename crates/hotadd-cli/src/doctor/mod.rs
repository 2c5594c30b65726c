//! `hotadd doctor`: whether something else on this machine brings processors online, and what to do about it.

mod command;
mod finding;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod machine;
mod owner;
mod script;
mod settings;
mod tree;
mod udev;
mod units;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use self::finding::{Finding, Level};
use self::tree::Tree;
use self::udev::cover::{self, Covered, Outcome};
use self::units::Units;
use crate::args::Doctor;

/// So many findings are told.
const FINDINGS: usize = 1000;

/// Something is in the way, or it cannot be told.
const IN_THE_WAY: u8 = 1;
const USAGE: u8 = 2;

/// Looks, and says what it sees. Returns the exit status.
pub(crate) fn run(args: &Doctor) -> ExitCode {
    let tree = match Tree::new(&args.root) {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!("hotadd: --root: {} cannot be looked at: {error}", args.root.display());
            return ExitCode::from(USAGE);
        }
    };
    let covered = match args.shadow.as_ref().map(|dir| cover::all(&tree, dir)).transpose() {
        Ok(covered) => covered.unwrap_or_default(),
        Err(error) => {
            let dir = args.shadow.as_deref().unwrap_or(Path::new("")).display();
            eprintln!("hotadd: --shadow: {dir} cannot be used: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let findings = examine(&tree);
    let clear = findings.iter().all(|finding| finding.level == Level::Note);
    let text = if args.json {
        let findings: Vec<_> = findings.iter().map(Finding::json).collect();
        let shadows: Vec<_> = covered.iter().map(Covered::json).collect();
        format!("{}\n", json!({ "clear": clear, "findings": findings, "shadows": shadows }))
    } else {
        let done: String = covered.iter().map(Covered::shown).collect();
        let written = covered.iter().any(|covered| covered.outcome == Outcome::Written);
        let next = if written { "now: udevadm control --reload\n" } else { "" };
        format!("{done}{next}{}", shown(&findings))
    };
    // Who closed our output wants no more of it.
    let _ = io::stdout().write_all(text.as_bytes());
    let refused = covered.iter().any(|covered| covered.outcome == Outcome::Refused);
    if clear && !refused { ExitCode::SUCCESS } else { ExitCode::from(IN_THE_WAY) }
}

/// Everything that there is to say, what weighs most first.
fn examine(tree: &Tree) -> Vec<Finding> {
    let units = Units::read(tree, udev::wanted_units(tree).into_iter());
    let mut findings = udev::check(tree);
    findings.extend(units.check(tree));
    findings.extend(settings::check(tree));
    findings.extend(machine::check(tree));
    findings.extend(owner::check(tree, &units));
    findings.extend(tree.unread().into_iter().map(|unread| {
        Finding::new(Level::Unknown, format!("not looked at: {}", unread.reason))
            .at(&unread.path, None)
            .why("what is in it may bring processors online")
            .fix("run hotadd doctor as root, or look yourself")
    }));
    findings.sort_by_key(|finding| finding.level);
    let more = findings.len().saturating_sub(FINDINGS);
    if more > 0 {
        findings.truncate(FINDINGS);
        let what = format!("{more} further findings are not told");
        findings.push(Finding::new(Level::Unknown, what).fix("see to these first"));
    }
    findings
}

/// For a person.
fn shown(findings: &[Finding]) -> String {
    let mut text: String = findings.iter().map(Finding::shown).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, unknown) = (count(Level::Problem), count(Level::Unknown));
    text += &match (problems, unknown) {
        (0, 0) => "nothing brings processors online\n".to_owned(),
        (0, _) => format!(
            "whether something brings processors online cannot be told: {unknown} unknown\n"
        ),
        _ => format!("something brings processors online: {problems} found, {unknown} unknown\n"),
    };
    text
}
