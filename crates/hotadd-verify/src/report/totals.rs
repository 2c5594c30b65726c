//! [`Totals`]: the numbers of a report.

use std::fmt;

use super::{Outcome, Report};
use crate::check::Severity;

/// The numbers of a report. Written, they are its last line.
///
/// ```
/// let totals = hotadd_verify::report::Totals { passed: 40, failed: 1, checks: 37, violated: 1, errors: 1, ..Default::default() };
/// assert_eq!(totals.to_string(), "41 scenarios: 40 passed, 1 failed; 37 checks: 36 passed, 1 failed; 1 finding: 1 error");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Scenarios in which nothing was found.
    pub passed: usize,
    /// Scenarios in which the driver broke a rule.
    pub failed: usize,
    /// Scenarios that could not be run.
    pub not_run: usize,
    /// All checks.
    pub checks: usize,
    /// Checks with findings.
    pub violated: usize,
    /// Findings that are errors.
    pub errors: usize,
    /// Findings that are warnings.
    pub warnings: usize,
    /// Calls that were made to fail.
    pub reached: usize,
    /// Calls that were to fail, and that the driver did not make.
    pub not_reached: usize,
}

impl Totals {
    /// The numbers of this report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let scenarios = |is: fn(&Outcome) -> bool| {
            report.scenarios.iter().filter(|scenario| is(&scenario.outcome)).count()
        };
        let findings = |severity: Severity| {
            report.findings.iter().filter(|finding| finding.check.severity == severity).count()
        };
        let not_reached = report.not_reached().count();
        Self {
            passed: scenarios(|outcome| *outcome == Outcome::Passed),
            failed: scenarios(|outcome| *outcome == Outcome::Failed),
            not_run: scenarios(|outcome| matches!(outcome, Outcome::NotRun(_))),
            checks: report.checks.len(),
            violated: report
                .checks
                .iter()
                .filter(|check| report.of(check).next().is_some())
                .count(),
            errors: findings(Severity::Error),
            warnings: findings(Severity::Warning),
            reached: report.injected.len() - not_reached,
            not_reached,
        }
    }

    /// All scenarios.
    #[must_use]
    pub const fn scenarios(&self) -> usize {
        self.passed + self.failed + self.not_run
    }

    /// The findings: `2 findings: 1 error, 1 warning`.
    #[must_use]
    pub fn findings(&self) -> String {
        let parts = [
            (self.errors, count(self.errors, "error")),
            (self.warnings, count(self.warnings, "warning")),
        ];
        list(&count(self.errors + self.warnings, "finding"), &parts)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |number: usize, word: &str| (number, format!("{number} {word}"));
        let scenarios = [
            part(self.passed, "passed"),
            part(self.failed, "failed"),
            part(self.not_run, "not run"),
        ];
        let checks = [part(self.checks - self.violated, "passed"), part(self.violated, "failed")];
        let scenarios = list(&count(self.scenarios(), "scenario"), &scenarios);
        let checks = list(&count(self.checks, "check"), &checks);
        write!(f, "{scenarios}; {checks}; {}", self.findings())
    }
}

/// The sum and those of its parts that are not 0.
fn list(sum: &str, parts: &[(usize, String)]) -> String {
    let parts: Vec<&str> =
        parts.iter().filter(|(number, _)| *number > 0).map(|(_, part)| part.as_str()).collect();
    if parts.is_empty() { sum.to_owned() } else { format!("{sum}: {}", parts.join(", ")) }
}

/// A number of things: `1 finding`, `2 findings`.
pub(super) fn count(number: usize, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {what}{end}")
}
