//! Running the table on one kind of partition.

use hotadd_core::{ActiveSet, HardwareId};

use crate::parse;
use crate::scenario::{Command, Fault, Scenario};
use crate::script::{Journal, Refusal, Script, Subject};

/// What became of the table.
#[derive(Debug, Default)]
pub struct Report {
    /// The titles of the scenarios that went as written.
    pub passed: Vec<String>,
    /// The title of each scenario that was not run, and the needs that the subject does not meet.
    pub not_run: Vec<(String, String)>,
    /// What went otherwise than written.
    pub failures: Vec<String>,
    /// All scenarios that were run, with what really followed each command.
    pub found: Vec<Scenario>,
}

impl Report {
    /// Asserts that everything went as written.
    ///
    /// # Panics
    /// If a scenario went otherwise, with both texts; and if none was run.
    pub fn check(&self) {
        assert!(self.failures.is_empty(), "{}", self.failures.join("\n"));
        assert!(!self.passed.is_empty(), "no scenario was run");
    }
}

/// Runs the table. For each scenario, `subject` gives a new partition and the hardware ids of processors 0, 1, 2 ...
pub fn run(
    kind: &str,
    mut subject: impl FnMut(&Scenario) -> Option<(Box<dyn Subject>, Vec<HardwareId>)>,
) -> Report {
    let mut report = Report::default();
    for scenario in parse::table() {
        let title = scenario.title.clone();
        let Some((mut subject, ids)) = subject(&scenario) else {
            report.not_run.push((title, format!("{:?}", scenario.needs()[0])));
            continue;
        };
        let unmet: Vec<_> = scenario.needs().into_iter().filter(|n| !subject.offers(*n)).collect();
        if unmet.is_empty() {
            let found =
                Play { subject: &mut *subject, journal: Journal::new(ids), scenario: &scenario }
                    .run();
            match difference(&scenario, &found) {
                None => report.passed.push(title),
                Some(difference) => report.failures.push(format!("on {kind}: {difference}")),
            }
            report.found.push(found);
        } else {
            report.not_run.push((title, format!("{unmet:?}")));
        }
    }
    let all = report.passed.len() + report.not_run.len() + report.failures.len();
    println!("{kind}: {} of {all} scenarios run", all - report.not_run.len());
    for (title, why) in &report.not_run {
        println!("not run on {kind}: {title}: it lacks {why}");
    }
    report
}

/// The lines of a scenario as they are written and as they came, if they differ.
fn difference(scenario: &Scenario, found: &Scenario) -> Option<String> {
    let (expected, found) = (scenario.to_string(), found.to_string());
    if expected == found {
        return None;
    }
    let mut text = format!("{}: {}\n", scenario.file, scenario.title);
    let (mut one, mut other) = (expected.lines(), found.lines());
    loop {
        let (one, other) = (one.next(), other.next());
        if one.is_none() && other.is_none() {
            return Some(text);
        }
        let mark = if one == other { ' ' } else { '!' };
        text += &format!("{mark} {:<60} {}\n", other.unwrap_or("-"), one.unwrap_or("-"));
    }
}

struct Play<'a> {
    subject: &'a mut dyn Subject,
    journal: Journal,
    scenario: &'a Scenario,
}

impl Play<'_> {
    /// The scenario with what really followed each command.
    fn run(mut self) -> Scenario {
        let mut found = self.scenario.clone();
        let first = self.subject.active();
        for (_, command, lines) in &mut found.steps {
            self.execute(command);
            *lines = self.journal.take();
        }
        found.end = self.end(&first);
        self.subject.check();
        found
    }

    /// The active set, and how many changes it has seen.
    fn end(&self, first: &ActiveSet) -> String {
        let last = self.subject.active();
        let changes = last.epoch().0 - first.epoch().0;
        let plural = if changes == 1 { "" } else { "s" };
        format!("= {} after {changes} change{plural}", self.journal.set(&last))
    }

    fn execute(&mut self, command: &Command) {
        let note = |line: &str| self.journal.note(format!("-> {line}"));
        match command {
            Command::Register(names, replay) => {
                for name in names {
                    let script = Script::new(self.scenario, name, &self.journal);
                    if let Err(why) = self.subject.register(script, *replay) {
                        note(&format!("{name} is not registered: {:?} {}", why.status, why.clause));
                    }
                }
            }
            Command::Deregister(name) => {
                if let Err(why) = self.subject.deregister(name) {
                    note(&format!("{name} is not deregistered: {:?} {}", why.status, why.clause));
                }
            }
            Command::Add(n) => self.add(&[*n], false),
            Command::AddEach(all) => self.add(all, false),
            Command::AddTogether(all) => self.add(all, true),
            Command::Remove(n) => {
                let id = self.journal.id(*n);
                let result = self.subject.remove(id);
                note(&self.journal.outcome("left", id, &result));
            }
            Command::Rehearse(n) => {
                let id = self.journal.id(*n);
                let answers = self.subject.rehearse(id);
                self.rehearsed(id, answers);
            }
            Command::RehearseRemoval(n) => {
                let id = self.journal.id(*n);
                let answers = self.subject.rehearse_removal(id);
                self.rehearsed(id, answers);
            }
            Command::Observe => self.subject.observe(&self.journal),
            Command::Fault(fault) => {
                let (Fault::Start(n)
                | Fault::Stop(n)
                | Fault::Heal(n)
                | Fault::Vanish(n)
                | Fault::Intrude(n)) = fault;
                self.subject.fault(*fault, self.journal.id(*n));
            }
        }
    }

    fn rehearsed(&self, id: HardwareId, answers: Result<Vec<(String, bool)>, Refusal>) {
        match answers {
            Ok(answers) => {
                let word = |yes: bool| if yes { "yes" } else { "no" };
                let answers = answers.iter().map(|(name, yes)| format!("{name} {}", word(*yes)));
                let answers = answers.collect::<Vec<_>>().join(", ");
                self.journal.note(format!("-> rehearsed: {answers}"));
            }
            Err(why) => {
                let outcome = self.journal.outcome("", id, &Err(why));
                self.journal.note(format!("-> {outcome}"));
            }
        }
    }

    fn add(&mut self, numbers: &[u32], together: bool) {
        let ids: Vec<_> = numbers.iter().map(|n| self.journal.id(*n)).collect();
        let results = self.subject.add(&ids, together);
        for (id, result) in ids.iter().zip(&results) {
            self.journal.note(format!("-> {}", self.journal.outcome("joined", *id, result)));
        }
    }
}
