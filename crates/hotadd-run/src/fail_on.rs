//! [`FailOn`]: what makes a run fail although its command succeeds, and [`Failures`], what of it happened.

use std::str::FromStr;

use hotadd::text::clean;
use hotadd::{Event, EventKind};
use hotadd_service::host::Output;

/// What makes a run fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailOn {
    /// A processor was refused.
    pub refused: bool,
    /// The contract was broken.
    pub breach: bool,
    /// A driver crashed, did not answer in time or went missing, or left memory behind when it was unloaded.
    pub fault: bool,
}

impl FromStr for FailOn {
    type Err = String;

    /// Parses `refused,breach,fault`, or some of them.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut on = Self::default();
        for word in text.split(',') {
            match word {
                "refused" => on.refused = true,
                "breach" => on.breach = true,
                "fault" => on.fault = true,
                _ => {
                    return Err(format!(
                        "{word:?} is not one of refused, breach and fault; separate them by commas"
                    ));
                }
            }
        }
        Ok(on)
    }
}

/// What happened of what makes a run fail.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    on: FailOn,
    first: Option<String>,
    more: usize,
}

impl Failures {
    pub(crate) fn new(on: FailOn) -> Self {
        Self { on, ..Self::default() }
    }

    /// Notes an event of the partition.
    pub(crate) fn event(&mut self, event: &Event) {
        let on = self.on;
        let crashed = event.kind == EventKind::Breach && event.clause == Some("L3");
        let word = match event.kind {
            EventKind::Refused | EventKind::RemoveRefused if on.refused => "refused",
            EventKind::Breach if on.breach => "breach",
            EventKind::Breach if on.fault && crashed => "fault",
            EventKind::Missing if on.fault => "fault",
            _ => return,
        };
        let party = event.party.as_ref().map(|party| format!(" by {}", party.name));
        let id = event.id.map(|id| format!(", processor {id}"));
        let reason = event.reason.as_ref().map(|reason| format!(": {reason}"));
        let parts = [party, id, reason].map(Option::unwrap_or_default);
        self.note(word, &format!("{}{}", event.kind.name(), parts.concat()));
    }

    /// Notes the output of a driver.
    pub(crate) fn output(&mut self, driver: &str, output: &Output) {
        match output {
            Output::Breach(what) if self.on.breach => {
                self.note("breach", &format!("breach by {driver}: {what}"));
            }
            Output::Fault(_, what) if self.on.fault => {
                self.note("fault", &format!("{driver} {what}"));
            }
            Output::LeftMemory(what) if self.on.fault => {
                self.note("fault", &format!("{driver}: {what}"));
            }
            _ => {}
        }
    }

    fn note(&mut self, word: &str, what: &str) {
        if self.first.is_some() {
            self.more += 1;
        } else {
            self.first = Some(format!("--fail-on {word}: {}", clean(what)));
        }
    }

    /// Why the run failed, as a sentence without a full stop; `None` if it did not.
    pub(crate) fn reason(&self) -> Option<String> {
        let first = self.first.as_ref()?;
        Some(match self.more {
            0 => first.clone(),
            more => format!("{first} (and {more} more)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_the_three_words_is_read() {
        let all = FailOn { refused: true, breach: true, fault: true };
        assert_eq!("refused,breach,fault".parse(), Ok(all));
        assert_eq!("fault".parse(), Ok(FailOn { fault: true, ..FailOn::default() }));
        for wrong in ["", "veto", "fault,", "fault, breach"] {
            assert!(wrong.parse::<FailOn>().unwrap_err().contains("is not one of"), "{wrong:?}");
        }
    }

    #[test]
    fn the_first_failure_is_told_and_the_others_are_counted() {
        let mut failures = Failures::new(FailOn { fault: true, ..FailOn::default() });
        failures.output("x.sys", &Output::Breach("it is not asked for".to_owned()));
        failures.output("x.sys", &Output::Unloaded("unloaded, 0 bytes of pool left".to_owned()));
        assert_eq!(failures.reason(), None);
        failures.output("x.sys", &Output::LeftMemory("unloaded, 64 bytes of pool left".to_owned()));
        let first = "--fail-on fault: x.sys: unloaded, 64 bytes of pool left";
        assert_eq!(failures.reason().as_deref(), Some(first));
        failures.output("x.sys", &Output::LeftMemory("again".to_owned()));
        assert_eq!(failures.reason(), Some(format!("{first} (and 1 more)")));
    }
}
