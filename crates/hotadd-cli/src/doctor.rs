//! `hotadd doctor`: whether something else on this machine brings processors online, and what to do about it.

use std::path::Path;
use std::process::ExitCode;

use hotadd::text::clean;
use hotadd_doctor::{Finding, Level, Outcome, Root, Shadow};
use serde_json::json;

use crate::args::Doctor;

/// A problem was found, or a shadow was refused.
const IN_THE_WAY: u8 = 1;
const USAGE: u8 = 2;
/// Nothing was found, but something could not be examined or followed.
const CANNOT_TELL: u8 = 3;

/// Examines the machine and prints the findings. Returns the exit status.
pub(crate) fn run(args: &Doctor) -> ExitCode {
    let root = match Root::open(&args.root) {
        Ok(root) => root,
        Err(error) => {
            eprintln!("hotadd: --root: {} cannot be read: {error}", args.root.display());
            return ExitCode::from(USAGE);
        }
    };
    let shadows = match args.shadow.as_ref().map(|dir| root.shadow(dir)).transpose() {
        Ok(shadows) => shadows.unwrap_or_default(),
        Err(error) => {
            let dir = args.shadow.as_deref().unwrap_or(Path::new("")).display();
            eprintln!("hotadd: --shadow: {dir} cannot be used: {error}");
            return ExitCode::from(USAGE);
        }
    };
    let findings = root.examine();
    let answer = hotadd_doctor::answer(&findings);
    let text = if args.json {
        let says = answer.map_or("clear", Level::into);
        format!(
            "{}\n",
            json!({ "answer": says, "clear": answer.is_none(), "findings": findings, "shadows": shadows })
        )
    } else {
        let done: String = shadows.iter().map(shadow).collect();
        let written = shadows.iter().any(|shadow| shadow.outcome == Outcome::Written);
        let next = if written { "next: udevadm control --reload\n" } else { "" };
        format!("{done}{next}{}", shown(&findings, answer))
    };
    crate::say::whole(&text);
    let refused = shadows.iter().any(|shadow| shadow.outcome == Outcome::Refused);
    match answer {
        Some(Level::Problem) => ExitCode::from(IN_THE_WAY),
        _ if refused => ExitCode::from(IN_THE_WAY),
        Some(Level::CannotTell) => ExitCode::from(CANNOT_TELL),
        Some(Level::Note) | None => ExitCode::SUCCESS,
    }
}

/// The findings for a person.
fn shown(findings: &[Finding], answer: Option<Level>) -> String {
    let mut text: String = findings.iter().map(finding).collect();
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, unknown) = (count(Level::Problem), count(Level::CannotTell));
    text += &match answer {
        Some(Level::Problem) => {
            format!(
                "problem: something brings processors online: {problems} found, {unknown} undetermined\n"
            )
        }
        Some(Level::CannotTell) => format!(
            "cannot tell: nothing was found that brings processors online, but {unknown} could not be \
             determined\n"
        ),
        Some(Level::Note) | None => "clear: nothing brings processors online\n".to_owned(),
    };
    text
}

/// A finding in lines, each with its line feed.
fn finding(finding: &Finding) -> String {
    let level: &str = finding.level.into();
    let mut text = format!("{level}: {}\n", clean(&finding.what));
    if let Some(place) = &finding.place {
        let line = place.line.map(|line| format!(":{line}")).unwrap_or_default();
        text += &format!("  where: {}{line}\n", clean(&place.file));
    }
    for (name, said) in [("why", &finding.why), ("do", &finding.fix)] {
        if !said.is_empty() {
            text += &format!("  {name}: {}\n", clean(said));
        }
    }
    text
}

/// A shadow as a line, with its line feed.
fn shadow(shadow: &Shadow) -> String {
    let outcome: &str = shadow.outcome.into();
    format!("{outcome} {}: {}\n", clean(&shadow.file), clean(&shadow.said))
}
