//! [`Out`]: what a running partition knows of the processors that are out.

use std::collections::{BTreeMap, BTreeSet};

use hotadd::{CpuList, Errno, HardwareId, MAX_PROCESSORS, Status};
use serde_json::{Map, Value};

use super::talk::{Failure, Talk};

/// Id, who refused (empty if nobody did), status, errno (0 for none), clause, reason, milliseconds since 1970.
type WireRefusal = (u32, String, u32, u32, String, String, u64);

/// The error for a method that a service does not have.
const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownMethod";

/// How many refusals are read: of as many processors as there can be, and as many more that were refused meanwhile.
const MOST: usize = 2 * MAX_PROCESSORS as usize;

/// What is known of the processors that are out.
pub(super) struct Out {
    /// The last refusal of each that has not joined since, as an event.
    pub(super) refused: BTreeMap<u32, Value>,
    /// Those that left without asking and have not joined since, as far as the history goes back.
    pub(super) vanished: CpuList,
}

impl Out {
    pub(super) fn of(talk: &Talk) -> Result<Self, Failure> {
        let events: Vec<String> = talk.call("GetHistory", &(1_000_u32,))?;
        let lately = Self::lately(&events);
        let refused = match refusals(|first| talk.call("GetRefusals", &(first,))) {
            // A service that is older than this program knows no more than its history.
            Err(Failure::Refused(refusal)) if refusal.name == UNKNOWN => lately.refused,
            refused => refused?,
        };
        Ok(Self { refused, ..lately })
    }

    /// What the latest events say.
    fn lately(events: &[String]) -> Self {
        let (mut refused, mut vanished) = (BTreeMap::new(), BTreeSet::new());
        for event in events.iter().filter_map(|event| serde_json::from_str::<Value>(event).ok()) {
            let id = event["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            let Some(id) = id else { continue };
            match event["event"].as_str() {
                Some("refused") if event["replay"].is_null() => drop(refused.insert(id, event)),
                Some("joined") => {
                    refused.remove(&id);
                    vanished.remove(&id);
                }
                Some("left") if event["surprise"] == true => drop(vanished.insert(id)),
                _ => {}
            }
        }
        Self { refused, vanished: vanished.into_iter().map(HardwareId).collect() }
    }
}

/// The last refusal of each processor that is out, however long ago that was. `ask` has those from an id on, as many as fit into
/// a message.
fn refusals(
    mut ask: impl FnMut(u32) -> Result<Vec<WireRefusal>, Failure>,
) -> Result<BTreeMap<u32, Value>, Failure> {
    let mut all = BTreeMap::new();
    let mut next = Some(0);
    while let Some(first) = next {
        let some = ask(first)?;
        let in_order = some.is_sorted_by(|a, b| a.0 < b.0);
        if !in_order || some.first().is_some_and(|one| one.0 < first) || all.len() > MOST {
            let why = "the partition answered GetRefusals with nonsense: there is no order in it, or no end";
            return Err(Failure::Broken(why.to_owned()));
        }
        next = some.last().and_then(|last| last.0.checked_add(1));
        all.extend(some.into_iter().map(|refusal| (refusal.0, event(refusal))));
    }
    Ok(all)
}

/// A refusal as the event that it was, with the fields of `docs/events.md` that are known of it.
fn event((id, party, status, errno, clause, reason, time): WireRefusal) -> Value {
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

    fn of(id: u32) -> WireRefusal {
        (id, "pool".to_owned(), 0xC000_009A, 0, "A3".to_owned(), "no room".to_owned(), 1)
    }

    /// What comes of these answers, one after the other.
    fn read(answers: &[&[u32]]) -> Result<Vec<u32>, String> {
        let mut answers = answers.iter().map(|ids| ids.iter().map(|id| of(*id)).collect());
        let all = refusals(|_| Ok(answers.next().expect("it asked once too often")));
        all.map(|all| all.into_keys().collect()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn refusals_are_asked_for_until_there_are_no_more() {
        assert_eq!(read(&[&[]]), Ok(vec![]));
        assert_eq!(read(&[&[1, 2], &[7], &[]]), Ok(vec![1, 2, 7]));
        assert_eq!(read(&[&[1, u32::MAX]]), Ok(vec![1, u32::MAX]), "there is none behind it");
        let mut asked = Vec::new();
        let answers = |first| {
            asked.push(first);
            Ok(if first == 0 { vec![of(4), of(9)] } else { vec![] })
        };
        assert_eq!(refusals(answers).unwrap().len(), 2);
        assert_eq!(asked, [0, 10], "each is asked for once");
    }

    #[test]
    fn answers_that_would_never_end_are_nonsense() {
        let backwards: [&[&[u32]]; 3] = [&[&[2, 1]], &[&[1, 1]], &[&[1, 2], &[2]]];
        for answers in backwards {
            let why = read(answers).unwrap_err();
            assert!(why.contains("nonsense"), "{answers:?}: {why}");
        }
        let endless = refusals(|first| Ok(vec![of(first)]));
        assert!(endless.is_err(), "more than there can be processors");
    }
}
