//! The report as JUnit XML, for systems that run tests: a suite for the driver, a case for each scenario.

use std::io::{self, Write};

use hotadd::text::clean;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Finding, Outcome, Report, Scenario, StepKind, story};

type Xml<'a> = Writer<&'a mut dyn Write>;

/// Writes the report as JUnit XML. A finding is a failure of the scenario that found it first. A scenario that could not be run is
/// an error.
///
/// # Errors
/// If the output cannot be written.
pub fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let cases = cases(report);
    let number = |is: fn(&Case) -> bool| cases.iter().filter(|case| is(case)).count().to_string();
    let tests = number(|_| true);
    let failures = number(|case| case.error.is_none() && !case.failures.is_empty());
    let errors = number(|case| case.error.is_some());
    let time = seconds(report.scenarios.iter().map(|scenario| scenario.millis).sum());
    let counts = [
        ("tests", tests.as_str()),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", "0"),
        ("time", &time),
    ];
    let subject = valid(&report.subject);
    let seed = report.seed.to_string();
    let depth = valid(&report.depth);

    let mut xml: Xml<'_> = Writer::new_with_indent(out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = xml.create_element("testsuites").with_attribute(("name", "hotadd verify"));
    suites.with_attributes(counts).write_inner_content(|xml| {
        let suite = xml.create_element("testsuite").with_attribute(("name", subject.as_str()));
        suite.with_attributes(counts).write_inner_content(|xml| {
            xml.create_element("properties").write_inner_content(|xml| {
                for (name, value) in [("seed", &seed), ("depth", &depth)] {
                    let property = xml.create_element("property").with_attribute(("name", name));
                    property.with_attribute(("value", value.as_str())).write_empty()?;
                }
                Ok(())
            })?;
            cases.iter().try_for_each(|case| case.write(xml, &subject))
        })?;
        Ok(())
    })?;
    writeln!(xml.into_inner())
}

/// A test case.
struct Case {
    name: String,
    millis: u64,
    /// Why it could not be run.
    error: Option<String>,
    failures: Vec<Failure>,
}

/// What is wrong in a test case.
struct Failure {
    kind: String,
    message: String,
    text: String,
}

/// The scenarios as test cases, and those of findings whose scenario is not in the report.
fn cases(report: &Report) -> Vec<Case> {
    let mut cases: Vec<Case> = report.scenarios.iter().map(Case::new).collect();
    for finding in &report.findings {
        let name = valid(&finding.scenario);
        let at = cases.iter().position(|case| case.name == name).unwrap_or_else(|| {
            cases.push(Case { name, millis: 0, error: None, failures: Vec::new() });
            cases.len() - 1
        });
        cases[at].failures.push(Failure::new(report, finding));
    }
    for (case, scenario) in cases.iter_mut().zip(&report.scenarios) {
        if case.failures.is_empty() && scenario.outcome == Outcome::Failed {
            case.failures.push(Failure::found_before(scenario));
        }
    }
    cases
}

impl Case {
    fn new(scenario: &Scenario) -> Self {
        let error = match &scenario.outcome {
            Outcome::NotRun(why) => Some(valid(why)),
            _ => None,
        };
        Self { name: valid(&scenario.name), millis: scenario.millis, error, failures: Vec::new() }
    }

    fn write(&self, xml: &mut Xml<'_>, subject: &str) -> io::Result<()> {
        let time = seconds(self.millis);
        let case = xml.create_element("testcase").with_attributes([
            ("name", self.name.as_str()),
            ("classname", subject),
            ("time", &time),
        ]);
        if self.error.is_none() && self.failures.is_empty() {
            return case.write_empty().map(|_| ());
        }
        case.write_inner_content(|xml| {
            for failure in &self.failures {
                let element = xml.create_element("failure").with_attributes([
                    ("type", failure.kind.as_str()),
                    ("message", failure.message.as_str()),
                ]);
                element.write_text_content(BytesText::new(&failure.text))?;
            }
            if let Some(why) = &self.error {
                let error = xml.create_element("error").with_attribute(("type", "not-run"));
                error.with_attribute(("message", why.as_str())).write_empty()?;
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl Failure {
    fn new(report: &Report, finding: &Finding) -> Self {
        let check = finding.check;
        let message = valid(&story::sentence(report, finding));
        let mut text =
            format!("{} {} ({})\n{message}\n", check.severity.word(), check.id, check.rule);
        for line in story::lines(finding) {
            text += valid(&format!("{:<9}  {}", line.label, line.text)).trim_end();
            text.push('\n');
        }
        Self { kind: check.id.to_owned(), message, text }
    }

    /// The failure of a scenario whose findings other scenarios have found before.
    fn found_before(scenario: &Scenario) -> Self {
        let findings = scenario.steps.iter().filter(|step| step.kind == StepKind::Finding);
        let mut texts: Vec<String> = findings.map(|step| valid(&step.text)).collect();
        if texts.is_empty() {
            texts.push("breaks a rule".to_owned());
        }
        Self {
            kind: "found-before".to_owned(),
            message: format!("{} (another scenario has the story)", texts.join("; ")),
            text: texts.join("\n"),
        }
    }
}

/// The text in one line, without what XML cannot have.
fn valid(text: &str) -> String {
    let noncharacter = |c: &char| !matches!(c, '\u{fffe}' | '\u{ffff}');
    clean(text).chars().filter(noncharacter).collect()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
