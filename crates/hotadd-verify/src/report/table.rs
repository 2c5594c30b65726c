//! The report for a terminal.

use std::io::{self, Write};

use hotadd::text::clean;

use super::totals::count;
use super::{Finding, Outcome, Report, Totals, story};
use crate::check::{Check, Severity};

/// The width to which lists are broken.
const WIDTH: usize = 90;

/// Writes the report as text, with colours for a terminal or without. Text that comes from the driver is made safe to show.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, colours: bool, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint { colours };
    let totals = Totals::of(report);
    let subject = paint.bold(&clean(&report.subject));
    let scenarios = count(totals.scenarios(), "scenario");
    writeln!(out, "{subject}: {scenarios}, {}, seed {}", clean(&report.depth), report.seed)?;
    not_run(report, &paint, out)?;
    checks(report, &paint, out)?;
    for (at, found) in report.findings.iter().enumerate() {
        finding(report, at + 1, found, &paint, out)?;
    }
    injected(report, &totals, out)?;
    if let Some(note) = &report.note {
        writeln!(out, "\nnote: {}", clean(note))?;
    }
    let colour = match report.worst() {
        Some(severity) => Paint::of(severity),
        None if totals.not_run > 0 => YELLOW,
        None => GREEN,
    };
    writeln!(out, "\n{}", paint.with(colour, &totals.to_string()))
}

/// The scenarios that could not be run.
fn not_run(report: &Report, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    let mut title = "\nscenarios that could not be run\n";
    for scenario in &report.scenarios {
        if let Outcome::NotRun(why) = &scenario.outcome {
            let name = paint.with(YELLOW, &clean(&scenario.name));
            writeln!(out, "{title}  {name}: {}", clean(why))?;
            title = "";
        }
    }
    Ok(())
}

/// The checks: a line for each that failed, and the names of the others.
fn checks(report: &Report, paint: &Paint, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\nchecks")?;
    let findings = |check: &&Check| report.of(check).count();
    let (failed, passed): (Vec<&Check>, Vec<&Check>) =
        report.checks.iter().copied().partition(|check| findings(check) > 0);
    let width = failed.iter().map(|check| check.id.len()).max().unwrap_or(0);
    for check in &failed {
        let severity = paint.with(Paint::of(check.severity), &pad(check.severity.word(), 7));
        let number = pad(&count(findings(check), "finding"), 11);
        let Check { id, title, rule, .. } = check;
        writeln!(out, "  {severity}  {id:<width$}  {number}  {title} ({rule})")?;
    }
    if passed.is_empty() {
        return Ok(());
    }
    let begin = match failed.len() {
        0 => format!("all {}:", count(passed.len(), "check")),
        _ => format!("{} others:", passed.len()),
    };
    let names = passed.iter().map(|check| check.id);
    let lines = broken(begin, names);
    for (at, line) in lines.iter().enumerate() {
        let verdict = pad(if at == 0 { "ok" } else { "" }, 7);
        writeln!(out, "  {}  {line}", paint.with(GREEN, &verdict))?;
    }
    Ok(())
}

/// A list of names with what it begins with, broken into lines.
fn broken<'a>(begin: String, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut lines = vec![begin];
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        let end = if names.peek().is_some() { "," } else { "" };
        match lines.last_mut() {
            Some(line) if line.len() + name.len() + 2 <= WIDTH => *line += &format!(" {name}{end}"),
            _ => lines.push(format!("{name}{end}")),
        }
    }
    lines
}

/// The story of a finding.
fn finding(
    report: &Report,
    number: usize,
    finding: &Finding,
    paint: &Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let check = finding.check;
    let severity = paint.with(Paint::of(check.severity), check.severity.word());
    writeln!(out, "\n{number}. {severity} {} ({})", paint.bold(check.id), check.rule)?;
    writeln!(out, "   {}", story::sentence(report, finding))?;
    for line in story::lines(finding) {
        writeln!(out, "   {}  {}", paint.with(DIM, &pad(line.label, 9)), line.text)?;
    }
    Ok(())
}

/// Which injected failures were reached.
fn injected(report: &Report, totals: &Totals, out: &mut dyn Write) -> io::Result<()> {
    let all = totals.reached + totals.not_reached;
    if all == 0 {
        return writeln!(out, "\ninjected failures: none");
    }
    let rest = match totals.not_reached {
        0 => String::new(),
        _ => ". Where the driver did not make the call again, its failure is untested:".to_owned(),
    };
    writeln!(out, "\ninjected failures: {} of {all} reached{rest}", totals.reached)?;
    for injected in report.not_reached() {
        let (function, place) = (clean(&injected.function), injected.place.to_string());
        let (phase, scenario) = (clean(&injected.phase), clean(&injected.scenario));
        writeln!(out, "  {function} at {}, {phase}, scenario {scenario}", clean(&place))?;
    }
    Ok(())
}

/// The text with spaces behind it.
fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

/// The codes of SGR.
const RED: &str = "31;1";
const YELLOW: &str = "33";
const GREEN: &str = "32";
const BOLD: &str = "1";
const DIM: &str = "2";

/// Colours, or none.
struct Paint {
    colours: bool,
}

impl Paint {
    /// The text in this colour. The text must be clean.
    fn with(&self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with(BOLD, text)
    }

    /// The colour of a severity.
    const fn of(severity: Severity) -> &'static str {
        match severity {
            Severity::Error => RED,
            Severity::Warning => YELLOW,
        }
    }
}
