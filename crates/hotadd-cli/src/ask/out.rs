//! [`Out`]: what a running partition knows about the processors that are out.

use std::collections::{BTreeMap, BTreeSet};

use hotadd::{Errno, HardwareId, MAX_PROCESSORS, Status};
use hotadd_wire::AbsentRow;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::talk::Talk;

/// The most entries that are read: one for each possible processor, and as many more for those that changed meanwhile.
const MOST: usize = 2 * MAX_PROCESSORS as usize;

/// The last known events of the processors that are not active.
#[derive(Debug, Default)]
pub(crate) struct Out {
    /// The last refusal or failed start of each processor, as an event.
    pub(crate) refused: BTreeMap<u32, Value>,
    /// The processors that left without asking.
    pub(crate) vanished: BTreeSet<HardwareId>,
}

impl Out {
    pub(super) fn of(talk: &Talk) -> Result<Self, Failure> {
        Self::read(|first| talk.call("GetAbsent", &(first,)))
    }

    /// Reads what is last known about each processor that is out, however old it is. `ask` returns the entries from an id on, as
    /// many as fit into a message.
    fn read(mut ask: impl FnMut(u32) -> Result<Vec<AbsentRow>, Failure>) -> Result<Self, Failure> {
        let (mut out, mut next) = (Self::default(), Some(0));
        while let Some(first) = next {
            next = out.take(first, ask(first)?)?;
        }
        Ok(out)
    }

    /// Takes the answer to a request for the entries from `first` on. Returns from where to ask next, until all are there.
    pub(crate) fn take(
        &mut self,
        first: u32,
        some: Vec<AbsentRow>,
    ) -> Result<Option<u32>, Failure> {
        let in_order = some.is_sorted_by(|a, b| a.0 < b.0);
        let all = self.refused.len() + self.vanished.len();
        if !in_order || some.first().is_some_and(|one| one.0 < first) || all > MOST {
            let why = "the partition's answer to GetAbsent is invalid: its list is out of order or \
                       endless";
            return Err(Failure::Broken(why.to_owned()));
        }
        let next = some.last().and_then(|last| last.0.checked_add(1));
        for absence in some {
            if absence.4 == "X2" {
                self.vanished.insert(HardwareId(absence.0));
            } else {
                self.refused.insert(absence.0, event(absence));
            }
        }
        Ok(next)
    }
}

/// A refusal as its event, with the known fields of `docs/events.md`.
fn event((id, party, status, errno, clause, reason, time): AbsentRow) -> Value {
    let status = Status::from_raw(status);
    let errno = (errno != 0).then(|| Errno::from_raw(errno.cast_signed()));
    let some = |text: String| (!text.is_empty()).then(|| Value::from(text));
    let fields = [
        ("event", Some("refused".into())),
        ("driver", some(party)),
        ("id", Some(id.into())),
        ("status", Some(format!("0x{:08X}", status.to_raw()).into())),
        ("status_name", status.name().map(Value::from)),
        ("errno", errno.map(|errno| errno.to_raw().into())),
        ("errno_name", errno.and_then(Errno::name).map(Value::from)),
        ("reason", Some(reason.into())),
        ("clause", some(clause)),
        ("time", Some(time.into())),
    ];
    let known = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(known.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: u32) -> AbsentRow {
        (id, "pool".to_owned(), 0xC000_009A, 0, "A3".to_owned(), "no room".to_owned(), 1)
    }

    /// Reads these answers one after the other.
    fn read(answers: &[&[u32]]) -> Result<Vec<u32>, String> {
        let mut answers = answers.iter().map(|ids| ids.iter().map(|id| of(*id)).collect());
        let all = Out::read(|_| Ok(answers.next().expect("too many requests")));
        all.map(|all| all.refused.into_keys().collect()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn absences_are_requested_until_an_answer_is_empty() {
        assert_eq!(read(&[&[]]), Ok(vec![]));
        assert_eq!(read(&[&[1, 2], &[7], &[]]), Ok(vec![1, 2, 7]));
        assert_eq!(read(&[&[1, u32::MAX]]), Ok(vec![1, u32::MAX]), "no id can follow it");
        let mut asked = Vec::new();
        let answers = |first| {
            asked.push(first);
            Ok(if first == 0 { vec![of(4), of(9)] } else { vec![] })
        };
        assert_eq!(Out::read(answers).unwrap().refused.len(), 2);
        assert_eq!(asked, [0, 10], "each request continues after the last id");
    }

    #[test]
    fn x2_a_processor_that_vanished_is_not_listed_as_refused() {
        let left = (4, String::new(), 0, 0, "X2".to_owned(), String::new(), 1);
        let mut answers = vec![vec![], vec![of(2), left]];
        let out = Out::read(|_| Ok(answers.pop().unwrap())).unwrap();
        assert_eq!(out.refused.into_keys().collect::<Vec<_>>(), [2]);
        assert_eq!(out.vanished, [HardwareId(4)].into());
    }

    #[test]
    fn answers_out_of_order_or_without_end_are_errors() {
        let backwards: [&[&[u32]]; 3] = [&[&[2, 1]], &[&[1, 1]], &[&[1, 2], &[2]]];
        for answers in backwards {
            let why = read(answers).unwrap_err();
            assert!(why.contains("is invalid"), "{answers:?}: {why}");
        }
        let endless = Out::read(|first| Ok(vec![of(first)]));
        assert!(endless.is_err(), "more absences than possible processors");
    }
}
