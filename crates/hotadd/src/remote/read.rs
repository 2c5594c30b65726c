//! Converts a partition's replies to the types of this crate. All input is treated as untrusted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotadd_core::{
    ActiveSet, Epoch, Errno, HardwareId, Level, PartyId, PlatformError, Processor, ProcessorIndex,
    Status, Veto,
};
use hotadd_page::SetPage;
use hotadd_wire::{
    self as wire, AnswerRow, BatchRow, Decode, Kind, Message, MessageError, MissingRow, PartyRow,
    WireError, WireProcessor,
};

use crate::error::{Action, Error};
use crate::member::PartyInfo;
use crate::missing::Missing;
use crate::outcome::{Answer, Change, Rehearsal};
use crate::text;

/// The result for one processor of a batch.
type Row = (HardwareId, Result<Change, Error>);

/// The context of a request, as far as its error does not contain it.
pub(super) struct About<'a> {
    /// The action, such as `adding`.
    pub(super) what: &'static str,
    pub(super) action: Action,
    /// The party that was registering.
    pub(super) party: Option<PartyInfo>,
    /// The set that gives the indexes.
    pub(super) set: &'a ActiveSet,
}

/// A text or a name from the partition, made safe to display.
pub(super) fn said(text: &str) -> String {
    text::clean(text).into_owned()
}

/// The error for a message that cannot be encoded or decoded.
#[expect(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
pub(super) fn protocol(error: MessageError) -> Error {
    Error::Protocol(error.to_string())
}

/// Decodes the arguments of a message.
pub(super) fn body<T: Decode>(message: &Message) -> Result<T, Error> {
    message.arguments().map_err(protocol)
}

/// Decodes the arguments of a reply, or its error.
pub(super) fn reply<T: Decode>(message: &Message, about: &About<'_>) -> Result<T, Error> {
    match message.kind() {
        Kind::Reply => body(message),
        _ => Err(refusal(message, about)),
    }
}

/// The reply to GetPage.
pub(super) fn page(message: &Message) -> Result<SetPage, Error> {
    if message.kind() != Kind::Reply {
        return Err(Error::Protocol("it does not hand out its page".to_owned()));
    }
    let descriptor = message.descriptor().map_err(protocol)?;
    SetPage::from_descriptor(descriptor).map_err(|error| Error::Protocol(error.to_string()))
}

/// The reply to GetCandidates.
pub(super) fn candidates(message: &Message) -> Result<Vec<HardwareId>, Error> {
    if message.kind() != Kind::Reply {
        return Err(Error::Protocol("it does not report the candidates".to_owned()));
    }
    Ok(body::<Vec<u32>>(message)?.into_iter().map(HardwareId).collect())
}

/// The reply to Add or Remove.
pub(super) fn change(message: &Message, about: &About<'_>) -> Result<Change, Error> {
    let (processor, epoch): (WireProcessor, u64) = reply(message, about)?;
    let processor = wire::read_processor(processor).map_err(malformed)?;
    Ok(Change { processor, epoch: Epoch(epoch) })
}

/// The reply to AddBatch: the result for each processor, in the order given.
pub(super) fn batch(
    message: &Message,
    ids: &[HardwareId],
    about: &About<'_>,
) -> Result<Vec<Row>, Error> {
    let rows: Vec<BatchRow> = reply(message, about)?;
    if !rows.iter().map(|row| HardwareId(row.0)).eq(ids.iter().copied()) {
        return Err(Error::Protocol("the results do not match the batch".to_owned()));
    }
    let result = |row: BatchRow| {
        let (id, joined, processor, epoch, name, message, status, errno, party) = row;
        let result = if joined {
            let processor = wire::read_processor(processor).map_err(malformed);
            processor.map(|processor| Change { processor, epoch: Epoch(epoch) })
        } else {
            Err(error(&name, (message, status, errno, id, party), about))
        };
        (HardwareId(id), result)
    };
    Ok(rows.into_iter().map(result).collect())
}

/// The reply to Rehearse.
pub(super) fn rehearsal(message: &Message, about: &About<'_>) -> Result<Rehearsal, Error> {
    let (processor, answers): (WireProcessor, Vec<AnswerRow>) = reply(message, about)?;
    let answer = |(id, name, level, agreed, status, reason, took): AnswerRow| {
        let veto = || Veto::new(Status::from_raw(status), said(&reason));
        Answer {
            party: PartyInfo { id: PartyId(id), name: said(&name), level: Level(level) },
            answer: if agreed { Ok(()) } else { Err(veto()) },
            took: Duration::from_micros(took),
        }
    };
    let processor = wire::read_processor(processor).map_err(malformed)?;
    Ok(Rehearsal { processor, answers: answers.into_iter().map(answer).collect() })
}

/// The reply to GetParties.
pub(super) fn parties(message: &Message, about: &About<'_>) -> Result<Vec<PartyInfo>, Error> {
    let parties: Vec<PartyRow> = reply(message, about)?;
    let info = |(id, name, level, _): PartyRow| PartyInfo {
        id: PartyId(id),
        name: said(&name),
        level: Level(level),
    };
    Ok(parties.into_iter().map(info).collect())
}

/// The reply to GetMissing: name, since when in microseconds since 1970, status, reason.
pub(super) fn missing(message: &Message) -> Result<Vec<Missing>, Error> {
    if message.kind() != Kind::Reply {
        return Err(Error::Protocol("it does not report the missing parties".to_owned()));
    }
    let missing = |(name, since, status, reason): MissingRow| {
        let since = UNIX_EPOCH.checked_add(Duration::from_micros(since)).unwrap_or(UNIX_EPOCH);
        Missing::new(&said(&name), since, Status::from_raw(status), said(&reason))
    };
    let rows: Vec<MissingRow> = body(message)?;
    Ok(rows.into_iter().map(missing).collect())
}

/// A party of which only the name is known.
pub(super) fn known_by_name(name: &str) -> PartyInfo {
    PartyInfo { id: PartyId(0), name: said(name), level: Level(0) }
}

pub(super) fn malformed(what: wire::Malformed) -> Error {
    Error::Protocol(what.to_string())
}

/// Converts an error reply to the partition's error.
fn refusal(message: &Message, about: &About<'_>) -> Error {
    let head = message.head();
    let name = head.error_name();
    match body::<WireError>(message) {
        Ok(wire) => error(name, wire, about),
        // The error is one of the connection, not of the partition.
        Err(_) => {
            let sentence = said(&body::<String>(message).unwrap_or_default());
            if wire::DENIALS.contains(&name) {
                return Error::Denied(sentence);
            }
            Error::Protocol(format!("it answered with {name}: {sentence}"))
        }
    }
}

fn error(name: &str, wire: WireError, about: &About<'_>) -> Error {
    let (message, status, errno, id, party) = wire;
    let (message, party) = (said(&message), said(&party));
    let (status, id) = (Status::from_raw(status), HardwareId(id));
    let errno = i32::try_from(errno).ok().filter(|errno| *errno != 0).map(Errno::from_raw);
    let processor = find(about.set, id);
    let platform = platform(&message, status, errno);
    let action = about.action;
    let party = || match &about.party {
        Some(us) if us.name == party => us.clone(),
        _ => known_by_name(&party),
    };
    let veto = |lead: String| Veto::new(status, veto_reason(&message, &lead, status));
    match name.strip_prefix(wire::ERROR).unwrap_or(name) {
        "Vetoed" if about.party.is_none() => {
            let party = party();
            let veto = veto(format!("{party} refused to {action} {processor}: "));
            Error::Vetoed { action, processor, party, veto }
        }
        "Vetoed" | "NotJoining" => {
            let party = party();
            let lead = format!(
                "{party} refused {processor}, which is active already, and is not registered: "
            );
            Error::NotJoining { processor, veto: veto(lead), party }
        }
        "Platform" => Error::Platform { action, processor, error: platform },
        "Stuck" => Error::Stuck { processor, error: platform },
        "NotAddable" => {
            let reason = without(&message, &format!("processor {id} cannot be added: "));
            Error::NotAddable { id, status, reason }
        }
        "Missing" => {
            let party = party();
            let lead = format!("{party} is missing, and processor {id} is not added without it: ");
            let reason = without(&message, &lead);
            // An error does not contain the time since when the party is missing; GetMissing does.
            Error::Missing {
                id,
                missing: Missing::new(&party.name, SystemTime::now(), status, reason),
            }
        }
        "Touched" => {
            let reason = message.split_once(" was not added: ");
            let reason = reason.map_or(message.as_str(), |(_, reason)| reason).to_owned();
            Error::Touched { processor, reason }
        }
        "NotRemovable" => {
            let reason = without(&message, &format!("processor {id} cannot be removed: "));
            Error::NotRemovable { id, reason }
        }
        "InsideCallback" => Error::InsideCallback(about.what),
        "Limit" => Error::Limit(message),
        "NotRegistered" => Error::NotRegistered(party()),
        "Crashed" => Error::Crashed(party()),
        _ => Error::Protocol(format!("it answered with {name}: {message}")),
    }
}

/// The driver's own reason, whether it was sent alone or as part of a whole sentence.
fn veto_reason(message: &str, lead: &str, status: Status) -> String {
    // The text of a veto without a reason.
    let tail = Veto::new(status, "").to_string();
    let whole = message.strip_prefix(lead).and_then(|rest| rest.strip_suffix(&tail));
    whole.unwrap_or(message).to_owned()
}

/// The platform's error, with its own reason after it if there is one.
fn platform(message: &str, status: Status, errno: Option<Errno>) -> PlatformError {
    let mut error = PlatformError::new(status);
    error.errno = errno;
    let words = message.split_once(&format!("{error}: ")).map(|(_, words)| words.to_owned());
    error.reason = words;
    error
}

fn without(message: &str, lead: &str) -> String {
    message.strip_prefix(lead).unwrap_or(message).to_owned()
}

/// The processor with this id. A processor that did not join has no index: it gets the index that it would have had.
fn find(set: &ActiveSet, id: HardwareId) -> Processor {
    let next = || {
        let next = u32::try_from(set.known().count()).ok().and_then(ProcessorIndex::new);
        let index = next.or_else(|| ProcessorIndex::new(0));
        index.map(|index| Processor { index, id })
    };
    let found = set.by_id(id).or_else(next);
    found.unwrap_or_else(|| unreachable!("0 is an index"))
}

#[cfg(test)]
mod tests {
    use hotadd_wire::Request;

    use super::*;

    fn about(set: &ActiveSet) -> About<'_> {
        About { what: "adding", action: Action::Add, party: None, set }
    }

    #[test]
    fn a_veto_is_read_from_a_reason_alone_or_in_a_sentence() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let status = Status::INSUFFICIENT_RESOURCES;
        let whole = "pool refused to add processor 3: no memory \
                     (STATUS_INSUFFICIENT_RESOURCES, 0xC000009A)";
        for message in [whole, "no memory"] {
            let wire = (message.to_owned(), status.to_raw(), 0, 3, "pool".to_owned());
            let error = error("org.hotadd.Error.Vetoed", wire, &about(&set));
            assert_eq!(error.to_string(), whole);
            assert_eq!(error.status(), status);
            assert_eq!(error.id(), Some(HardwareId(3)));
        }
    }

    #[test]
    fn l4_q4_errors_about_missing_parties_and_touched_processors_cross_the_wire() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let since = UNIX_EPOCH + Duration::from_micros(1_234_567);
        let gone = Missing::new("ready", since, Status::IO_TIMEOUT, "no answer in 5 s".to_owned());
        let processor = find(&set, HardwareId(1));
        let reason = "somebody else brought it in".to_owned();
        let errors = [
            ("Missing", Error::Missing { id: HardwareId(1), missing: gone }),
            ("Touched", Error::Touched { processor, reason }),
        ];
        for (name, sent) in errors {
            let party = sent.party().map(|party| party.name.clone()).unwrap_or_default();
            let wire = (sent.to_string(), sent.status().to_raw(), 0, 1, party);
            let heard = error(&format!("org.hotadd.Error.{name}"), wire, &about(&set));
            assert_eq!(heard.to_string(), sent.to_string(), "{name}: the sentence is the same");
            assert_eq!(heard.reason(), sent.reason(), "{name}");
            assert_eq!((heard.status(), heard.clause()), (sent.status(), sent.clause()), "{name}");
            let names = |error: &Error| error.party().map(|party| party.name.clone());
            assert_eq!((heard.id(), names(&heard)), (sent.id(), names(&sent)), "{name}");
        }
    }

    #[test]
    fn a8_an_error_with_a_success_status_is_still_an_error() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let names =
            ["Vetoed", "Platform", "NotAddable", "NotRemovable", "Stuck", "NotJoining", "Missing"];
        for name in names {
            for status in [0, 0x103, 0x4000_0000, 0x7FFF_FFFF] {
                let wire = ("no".to_owned(), status, 0, 3, "pool".to_owned());
                let error = error(&format!("{}{name}", wire::ERROR), wire, &about(&set));
                assert!(
                    error.status().is_error(),
                    "{name} with 0x{status:08X} is taken for success"
                );
            }
        }
    }

    #[test]
    fn a_denied_request_keeps_the_partitions_message() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let add = Request::Add(HardwareId(1)).call().unwrap();
        for name in wire::DENIALS {
            let denied = add.error(name, &"ask root").unwrap();
            let error = refusal(&denied, &about(&set));
            assert_eq!(error, Error::Denied("ask root".to_owned()), "{name}");
            assert_eq!((error.status(), error.clause()), (Status::ACCESS_DENIED, "A8"));
        }
    }

    #[test]
    fn a11_the_platforms_message_crosses_the_wire() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let lead = "all parties agreed, but the platform failed to add processor 3: EINVAL (22)";
        for (message, words) in
            [(lead.to_owned(), None), (format!("{lead}: not: so"), Some("not: so"))]
        {
            let status = Status::from_errno(Errno::EINVAL).to_raw();
            let wire = (message.clone(), status, 22, 3, String::new());
            let error = error("org.hotadd.Error.Platform", wire, &about(&set));
            assert_eq!(error.to_string(), message, "the sentence is the same");
            let Error::Platform { error, .. } = error else { panic!("{error:?}") };
            assert_eq!(error.reason.as_deref(), words, "{message}");
        }
    }

    #[test]
    fn the_texts_of_errors_from_a_partition_are_cleaned() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let evil = "no\u{1b}[2J\u{202e}\u{200b}";
        let kinds =
            ["Vetoed", "NotJoining", "Platform", "Stuck", "NotAddable", "Missing", "Touched"];
        for name in kinds.into_iter().chain(["NotRemovable", "Limit", "Crashed", "Strange"]) {
            let wire = (evil.to_owned(), 0xC000_0001, 0, 3, evil.to_owned());
            let error = error(&format!("{}{name}", wire::ERROR), wire, &about(&set));
            for said in [error.to_string(), error.reason()] {
                assert!(text::is_clean(&said), "{name} passes it on: {said:?}");
            }
        }
        let add = Request::Add(HardwareId(1)).call().unwrap();
        let denied = add.error(wire::DENIALS[0], &evil).unwrap();
        assert!(text::is_clean(&refusal(&denied, &about(&set)).to_string()));
    }

    #[test]
    fn an_error_with_an_unknown_name_keeps_its_message() {
        let set = ActiveSet::first(&[HardwareId(0)], 4).unwrap();
        let wire = ("no".to_owned(), 0, 0, 0, String::new());
        let error = error("org.example.Strange", wire, &about(&set));
        assert_eq!(error.status(), Status::INVALID_NETWORK_RESPONSE);
        assert!(error.to_string().contains("org.example.Strange: no"), "{error}");
    }
}
