//! The commands that talk to a running partition: status, parties, add, remove, rehearse, history, trace.

mod connection;
mod failure;
mod found;
pub(crate) mod metrics;
mod missing;
mod out;
mod patience;
mod talk;
pub(crate) mod trace;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use hotadd::text::clean;
use hotadd::{CpuList, HardwareId, Status};
use hotadd_daemon::view::millis;
use hotadd_wire::{self as wire, AnswerRow, PartyRow, WaitingRow, WireProcessor, WireSet};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::failure::{Failure, Refusal};
use self::missing::Gone;
use self::out::Out;
use self::talk::Talk;
use crate::args::{Ask, Change, History, Parties};
use crate::say;

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const NO_PARTITION: u8 = 3;
/// The exit status that shells use for SIGINT.
const INTERRUPTED: u8 = 130;

/// Reports an error, and returns the exit status.
pub(crate) fn report(result: Result<bool, AskError>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(REFUSED),
        // The user pressed Ctrl-C, so no message is needed.
        Err(AskError(Failure::Interrupted(None))) => ExitCode::from(INTERRUPTED),
        Err(AskError(failure)) => {
            say::wrong(&failure);
            ExitCode::from(match failure {
                Failure::Interrupted(_) => INTERRUPTED,
                Failure::NoPartition(_) => NO_PARTITION,
                Failure::Usage(_) => USAGE,
                Failure::Refused(_) | Failure::Broken(_) | Failure::Silent(_) => REFUSED,
            })
        }
    }
}

/// Why a command has no answer.
pub(crate) struct AskError(Failure);

impl AskError {
    /// Something else than the partition failed.
    pub(crate) fn failed(why: String) -> Self {
        Self(Failure::Broken(why))
    }
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

/// `hotadd status`: the active set, the registered parties, the calls under way, and which processors are out and why.
pub(crate) fn status(ask: &Ask) -> Result<bool, AskError> {
    let talk = Talk::with(ask)?;
    let candidates: Vec<u32> = talk.call("GetCandidates", &())?;
    let set: WireSet = talk.call("GetSet", &())?;
    let parties = parties_of(&talk)?;
    let gone = Gone::all(&talk)?;
    let waiting: Vec<WaitingRow> = talk.call("GetWaiting", &())?;
    let Out { refused, vanished } = Out::of(&talk)?;
    let set = wire::read_set(set).map_err(|e| Failure::Broken(e.to_string()))?;
    // A processor that joined between two answers is listed as active only.
    let is_out = |id| set.by_id(id).is_none_or(|processor| !set.contains(processor.index));
    let refused = refused.into_iter().filter(|(id, _)| is_out(HardwareId(*id)));
    let refused: Vec<Value> = refused.map(|(_, event)| event).collect();
    let vanished: CpuList = vanished.into_iter().filter(|id| is_out(*id)).collect();
    let list = |ids: &mut dyn Iterator<Item = HardwareId>| ids.collect::<CpuList>().to_string();
    let active = list(&mut set.iter().map(|p| p.id));
    let unagreed = list(&mut set.iter().filter(|p| !set.is_agreed(p.index)).map(|p| p.id));
    let spare = list(&mut candidates.into_iter().map(HardwareId).filter(|id| is_out(*id)));
    if ask.json {
        say::json(&json!({
            "epoch": set.epoch().0, "active": active, "unagreed": unagreed, "candidates": spare,
            "parties": parties, "waiting": waiting.iter().map(waiting_json).collect::<Vec<_>>(),
            "refused": refused, "vanished": vanished.to_string(),
            "missing": gone.iter().map(Gone::json).collect::<Vec<_>>(),
        }));
        return Ok(true);
    }
    gone.iter().for_each(|gone| say::line(gone.line()));
    say::line(format!("active: {active} ({} processors, epoch {})", set.count(), set.epoch()));
    if !unagreed.is_empty() {
        say::line(format!("joined without agreement: {unagreed} (Q3)"));
    }
    if !vanished.is_empty() {
        say::line(format!("vanished without a remove: {vanished} (X2)"));
    }
    say::line(format!("could be added: {}", if spare.is_empty() { "none" } else { &spare }));
    say::line(format!("parties: {}", if parties.is_empty() { "none" } else { "" }));
    parties.iter().for_each(|party| say::line(format!("  {}", party_line(party))));
    waiting.iter().for_each(|waiting| say::line(waiting_line(waiting)));
    for event in refused {
        say::line(format!("processor {} stays out: {}", text(&event["id"]), why(&event)));
    }
    Ok(true)
}

/// `hotadd parties`. Returns false if a party was to be restarted and is not registered.
pub(crate) fn parties(parties: &Parties) -> Result<bool, AskError> {
    let (ask, talk) = (&parties.ask, Talk::with(&parties.ask)?);
    if let Some(name) = &parties.restart {
        return missing::restart(&talk, parties, name);
    }
    for party in parties_of(&talk)? {
        if ask.json { say::json(&party) } else { say::line(party_line(&party)) }
    }
    for gone in Gone::all(&talk)? {
        if ask.json { say::json(&gone.json()) } else { say::line(gone.line()) }
    }
    Ok(true)
}

/// `hotadd add` and `hotadd remove`. Returns false if any change was refused.
pub(crate) fn change(change: &Change, add: bool) -> Result<bool, AskError> {
    let talk = Talk::with(&change.ask)?;
    let mut all = true;
    let (method, done) = if add { ("Add", "joined") } else { ("Remove", "left") };
    for id in change.list.ids() {
        match talk.call_and_watch(method, &(id.0,)) {
            Ok((processor, epoch)) => {
                let processor: WireProcessor = processor;
                let epoch: u64 = epoch;
                let (index, group, number, _) = processor;
                if change.ask.json {
                    say::json(&json!({
                        "event": done, "id": id.0, "index": index, "group": group,
                        "number": number, "epoch": epoch,
                    }));
                } else {
                    say::line(format!(
                        "processor {id} {done} (index {index}, {group}:{number}, epoch {epoch})"
                    ));
                }
            }
            Err(Failure::Refused(refusal)) => {
                all = false;
                let event = if add { "refused" } else { "remove-refused" };
                if change.ask.json {
                    say::json(&refusal_json(event, id.0, &refusal));
                } else {
                    say::line(&refusal.message);
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(all)
}

/// `hotadd rehearse`. Returns false if any party would refuse.
pub(crate) fn rehearse(change: &Change) -> Result<bool, AskError> {
    let talk = Talk::with(&change.ask)?;
    let mut all = true;
    for id in change.list.ids() {
        let answer = talk.call_and_watch("Rehearse", &(id.0,));
        let (_, answers): (WireProcessor, Vec<AnswerRow>) = match answer {
            Ok(answer) => answer,
            Err(Failure::Refused(refusal)) => {
                all = false;
                if change.ask.json {
                    say::json(&refusal_json("refused", id.0, &refusal));
                } else {
                    say::line(&refusal.message);
                }
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        let agreed = answers.iter().all(|answer| answer.3);
        all &= agreed;
        if change.ask.json {
            let answers: Vec<_> = answers.iter().map(answer_json).collect();
            say::json(&json!({ "id": id.0, "agreed": agreed, "answers": answers }));
            continue;
        }
        let verdict = if agreed { "could join" } else { "would be refused" };
        say::line(format!("processor {id} {verdict}; asked: {}", answers.len()));
        for (_, name, level, agreed, status, reason, us) in answers {
            let took = millis(Duration::from_micros(us));
            let status = Status::from_raw(status);
            match agreed {
                true => say::line(format!("  {name} (level {level}) agrees, in {took}")),
                false => {
                    say::line(format!(
                        "  {name} (level {level}) refuses, in {took}: {} ({status:?})",
                        reason
                    ));
                }
            }
        }
    }
    Ok(all)
}

/// `hotadd history`.
pub(crate) fn history(history: &History) -> Result<bool, AskError> {
    let talk = Talk::with(&history.ask)?;
    let events: Vec<String> = talk.call("GetHistory", &(history.most,))?;
    for event in events {
        // Entries that are not valid JSON are skipped.
        let Ok(event) = serde_json::from_str::<Value>(&event) else { continue };
        if history.ask.json { say::json(&event) } else { say::line(event_line(&event)) }
    }
    Ok(true)
}

fn parties_of(talk: &Talk) -> Result<Vec<Value>, Failure> {
    let parties: Vec<PartyRow> = talk.call("GetParties", &())?;
    let party = |(id, name, level, remote)| json!({ "party": id, "name": name, "level": level, "remote": remote });
    Ok(parties.into_iter().map(party).collect())
}

fn party_line(party: &Value) -> String {
    let place = if party["remote"] == true { "in another process" } else { "in this process" };
    let name = party["name"].as_str().unwrap_or_default();
    format!("{name} (#{}, level {}, {place})", party["party"], party["level"])
}

/// An event of the history for a person.
fn event_line(event: &Value) -> String {
    let time = event["time"].as_u64().map(clock).unwrap_or_default();
    let id =
        if event["id"].is_null() { String::new() } else { format!(" processor {}", event["id"]) };
    let who = event["driver"].as_str().map(|name| format!(" {}", name)).unwrap_or_default();
    let took = event["us"].as_u64().map(|us| format!(" in {}", millis(Duration::from_micros(us))));
    let reason =
        if event["reason"].is_null() { String::new() } else { format!(": {}", why(event)) };
    let replay = match (&event["replay"], &event["rehearsal"]) {
        (Value::Bool(true), _) => " (replay)",
        (_, Value::Bool(true)) => " (rehearsal)",
        _ => "",
    };
    let unasked = match (event["event"].as_str(), &event["surprise"], &event["agreed"]) {
        (Some("left" | "remove-complete"), Value::Bool(true), _) => " without a remove (X2)",
        (Some("joined"), _, Value::Bool(false)) => " without agreement (Q3)",
        _ => "",
    };
    let (event, took) = (text(&event["event"]), took.unwrap_or_default());
    format!("{time} {event}{id}{who}{unasked}{replay}{took}{reason}")
}

/// The party that refused, its reason, its status and the clause.
fn why(event: &Value) -> String {
    let driver =
        event["driver"].as_str().map(|name| format!("{name} refused: ")).unwrap_or_default();
    let driver = if event["event"] == "refused" { driver } else { String::new() };
    // A status that has no name here is shown as a number.
    let status = event["status_name"].as_str().or_else(|| event["status"].as_str());
    let others = ["errno_name", "clause"].iter().map(|key| event[key].as_str());
    let known: Vec<_> = std::iter::once(status).chain(others).flatten().collect();
    let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
    format!("{driver}{}{known}", text(&event["reason"]))
}

/// Date and time in the local time zone.
fn clock(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let local = time.map(|time| time.to_zoned(TimeZone::system()));
    local.map(|local| local.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()).unwrap_or_default()
}

fn answer_json((party, name, level, agreed, status, reason, us): &AnswerRow) -> Value {
    let status = Status::from_raw(*status);
    json!({
        "party": party, "name": name, "level": level, "agreed": agreed, "reason": reason, "us": us,
        "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
    })
}

fn refusal_json(event: &str, id: u32, refusal: &Refusal) -> Value {
    let Refusal { name, message, status, errno, party } = refusal;
    json!({
        "event": event, "id": id, "error": name, "reason": message, "driver": party, "errno": errno,
        "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
    })
}

fn waiting_json((name, state, id, us): &WaitingRow) -> Value {
    json!({ "driver": name, "state": state, "id": id, "us": us })
}

fn waiting_line((name, state, id, us): &WaitingRow) -> String {
    let took = millis(Duration::from_micros(*us));
    format!("waiting for {name}: {state} of processor {id}, {took}")
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Shows on stderr what a command waits for. On a terminal one line is overwritten; otherwise each message is a new line.
#[derive(Default)]
struct Shown {
    line: bool,
}

impl Shown {
    fn waiting(&mut self, waiting: &[WaitingRow]) {
        let lines: Vec<_> = waiting.iter().map(waiting_line).collect();
        if lines.is_empty() {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[K{}", clean(&lines.join("; ")));
            let _ = std::io::stderr().flush();
            self.line = true;
        } else {
            lines.iter().for_each(say::note);
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.line) {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_line_marks_changes_without_agreement() {
        let line = |event: Value| event_line(&event).trim().to_owned();
        let left = json!({ "event": "left", "id": 1, "index": 1, "us": 20, "surprise": true });
        assert_eq!(line(left), "left processor 1 without a remove (X2) in 0.02 ms");
        let told =
            json!({ "event": "remove-complete", "id": 1, "driver": "pool", "surprise": true });
        assert_eq!(line(told), "remove-complete processor 1 pool without a remove (X2)");
        let joined = json!({ "event": "joined", "id": 2, "index": 2, "agreed": false });
        assert_eq!(line(joined), "joined processor 2 without agreement (Q3)");
        let asked = json!({ "event": "left", "id": 1 });
        assert_eq!(line(asked), "left processor 1", "an agreed removal");
        assert_eq!(line(json!({ "event": "joined", "id": 2 })), "joined processor 2");
    }

    #[test]
    fn a3_the_status_of_a_refusal_is_printed_with_or_without_a_name() {
        let refusal = |status: Status| {
            json!({
                "event": "refused", "driver": "pool", "reason": "no", "clause": "A3",
                "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
            })
        };
        let named = why(&refusal(Status::DEVICE_BUSY));
        assert_eq!(named, "pool refused: no (STATUS_DEVICE_BUSY, A3)");
        let unnamed = why(&refusal(Status::from_raw(0x8000_1234)));
        assert_eq!(unnamed, "pool refused: no (0x80001234, A3)");
    }
}
