//! [`Report`]: what a verification found, as data. The other files of this folder write it in the forms that people and programs read.

pub mod html;
pub mod json;
pub mod junit;
pub mod sarif;
mod story;
pub mod table;
mod totals;

use serde::{Deserialize, Serialize};

pub use totals::Totals;

use crate::check::{Check, Severity};

/// The result of verifying one driver.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of this format: 1.
    pub version: u32,
    /// The driver, as it was given.
    pub subject: String,
    /// The seed of everything that is chosen at random. The same seed gives the same report, apart from times.
    pub seed: u64,
    /// `quick`, `normal` or `thorough`, or a scenario's name.
    pub depth: String,
    /// The checks that were applied. Some cannot be applied to a driver that is not a file.
    pub checks: Vec<&'static Check>,
    /// The scenarios, in the order in which they are listed, which does not depend on which of them ended first.
    pub scenarios: Vec<Scenario>,
    /// What is wrong, one entry for each check and place, the most serious first.
    pub findings: Vec<Finding>,
    /// The calls that were made to fail.
    pub injected: Vec<Injected>,
    /// Why places have no lines, as a sentence without a full stop, if they have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One scenario that was run.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    /// Its name, as `--scenario` takes it: `groups-of-2`.
    pub name: String,
    /// What it does, as a phrase.
    pub title: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// How a scenario ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why")]
pub enum Outcome {
    /// Nothing was found.
    Passed,
    /// The driver broke a rule.
    Failed,
    /// It could not be run; the text says why.
    NotRun(String),
}

/// One thing that happened in a scenario.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// When, in microseconds since the scenario began.
    pub micros: u64,
    /// What kind of step it is.
    pub kind: StepKind,
    /// What happened, in words.
    pub text: String,
    /// Where in the driver, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// The kind of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// The scenario does something: loads the driver, adds a processor, unloads.
    Act,
    /// The driver's callback is called or returns.
    Notice,
    /// The driver calls a function.
    Call,
    /// A call was made to fail.
    Injected,
    /// The driver printed something.
    Print,
    /// A finding.
    Finding,
}

impl StepKind {
    /// All kinds, in the order of a picture's lanes.
    pub const ALL: [Self; 6] =
        [Self::Act, Self::Notice, Self::Call, Self::Injected, Self::Print, Self::Finding];

    /// The kind for a reader: `act`, `callback`, `call`, `failure`, `print`, `finding`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Notice => "callback",
            Self::Call => "call",
            Self::Injected => "failure",
            Self::Print => "print",
            Self::Finding => "finding",
        }
    }
}

/// A position in the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file's name: `percpu.sys`.
    pub module: String,
    /// The offset from the image's lowest address.
    pub offset: u64,
    /// The function, if there are symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The source file, if there are symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in the source file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The check, written as its id.
    pub check: &'static Check,
    /// What happened, as a sentence without its subject: `leaves one block of 128 bytes, tag 'PcpU'`.
    pub what: String,
    /// Where in the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Where the block was allocated, or the object made, that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Place>,
    /// The scenario in which it was found first.
    pub scenario: String,
    /// How many other scenarios found it too.
    pub also: usize,
    /// The calls that led to it, in order, the last one is the one that broke the rule.
    pub story: Vec<Step>,
    /// The command that reproduces exactly it.
    pub reproduce: String,
}

/// A call of the driver that was made to fail.
#[derive(Clone, Debug, Serialize)]
pub struct Injected {
    /// The function that failed: `ExAllocatePool2`.
    pub function: String,
    /// The driver's call.
    pub place: Place,
    /// When: `load`, `replay`, `add`.
    pub phase: String,
    /// The scenario that made it fail.
    pub scenario: String,
    /// Whether the driver made the call in that scenario, so that it did fail.
    pub reached: bool,
}

impl Report {
    /// The verdict on a check: its findings.
    pub fn of(&self, check: &Check) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.check.id == check.id)
    }

    /// Whether nothing was found, and every scenario was run.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty() && !self.could_not_run()
    }

    /// Ends a test that is to fail unless nothing was found.
    ///
    /// # Panics
    /// Something was found, or a scenario could not be run. The message is the report as a table.
    #[track_caller]
    pub fn assert_clean(&self) {
        if !self.is_clean() {
            let mut text = Vec::new();
            // Writing to memory does not fail.
            let _ = table::write(self, false, &mut text);
            panic!("{}", String::from_utf8_lossy(&text));
        }
    }

    /// Whether a scenario could not be run.
    #[must_use]
    pub fn could_not_run(&self) -> bool {
        self.scenarios.iter().any(|scenario| matches!(scenario.outcome, Outcome::NotRun(_)))
    }

    /// The driver's file without its folder: `percpu.sys`. For `exec:./ready,level=1` the program, `ready`, and `sample` for a sample.
    #[must_use]
    pub fn module(&self) -> &str {
        let without_options =
            |text: &'_ str| text.split_once(',').map_or(text.len(), |(path, _)| path.len());
        let subject = match self.subject.split_once(':') {
            Some(("exec", rest)) => &rest[..without_options(rest)],
            Some((sample @ "sample", _)) => sample,
            _ => &self.subject,
        };
        match subject.trim_end_matches('/').rsplit('/').next() {
            Some(name) if !name.is_empty() => name,
            _ => subject,
        }
    }

    /// The calls that were to fail and that the driver did not make.
    pub fn not_reached(&self) -> impl Iterator<Item = &Injected> {
        self.injected.iter().filter(|injected| !injected.reached)
    }

    /// The same report with all times zero. Two runs of the same driver with the same seed are then equal.
    #[must_use]
    pub fn without_times(&self) -> Self {
        let mut report = self.clone();
        let stories = report.findings.iter_mut().map(|finding| &mut finding.story);
        let scenarios = report.scenarios.iter_mut().map(|scenario| {
            scenario.millis = 0;
            &mut scenario.steps
        });
        for step in stories.chain(scenarios).flatten() {
            step.micros = 0;
        }
        report
    }

    /// The most serious finding's severity.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.check.severity).min()
    }
}

impl std::fmt::Display for Place {
    /// `PerCpuStart (percpu.c:52)`, or `percpu.sys+0x1234` without symbols.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.function, &self.file, self.line) {
            (Some(function), Some(file), Some(line)) => write!(f, "{function} ({file}:{line})"),
            (Some(function), Some(file), None) => write!(f, "{function} ({file})"),
            (None, Some(file), Some(line)) => write!(f, "{file}:{line}"),
            (Some(function), ..) => {
                write!(f, "{function} ({}+{:#x})", self.module, self.offset)
            }
            _ => write!(f, "{}+{:#x}", self.module, self.offset),
        }
    }
}
