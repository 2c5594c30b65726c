//! The commands that talk to a running partition: status, parties, add, remove, rehearse, history, trace.

pub(crate) mod client;
mod connection;
mod error;
pub(crate) mod events;
pub(crate) mod failure;
pub(crate) mod found;
mod history;
pub(crate) mod lines;
pub(crate) mod metrics;
mod missing;
pub(crate) mod out;
pub(crate) mod patience;
mod progress;
pub(crate) mod rehearse;
pub(crate) mod since;
mod talk;
pub(crate) mod trace;

use hotadd::{CpuList, HardwareId};
use hotadd_wire::{self as wire, PartyRow, WaitingRow, WireProcessor, WireSet};
use serde_json::{Value, json};

pub(crate) use self::error::{AskError, report};
use self::failure::Failure;
pub(crate) use self::history::history;
use self::lines::{party_line, text, waiting_line, why};
use self::missing::Gone;
use self::out::Out;
pub(crate) use self::rehearse::rehearse;
use self::talk::Talk;
use crate::args::{Ask, Change, Parties};
use crate::say;

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
                    say::json(&refusal.json(event, id.0));
                } else {
                    say::line(&refusal.message);
                }
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(all)
}

fn parties_of(talk: &Talk) -> Result<Vec<Value>, Failure> {
    let parties: Vec<PartyRow> = talk.call("GetParties", &())?;
    let party = |(id, name, level, remote)| json!({ "party": id, "name": name, "level": level, "remote": remote });
    Ok(parties.into_iter().map(party).collect())
}

fn waiting_json((name, state, id, us): &WaitingRow) -> Value {
    json!({ "driver": name, "state": state, "id": id, "us": us })
}
