//! `hotadd rehearse`: asks all parties whether processors could be added, or removed, and changes nothing (A10).

use std::time::Duration;

use hotadd::Status;
use hotadd_daemon::view::millis;
use hotadd_wire::{AnswerRow, WireProcessor};
use serde_json::{Value, json};

use super::error::AskError;
use super::failure::Failure;
use super::talk::Talk;
use crate::args::Rehearse;
use crate::say;

/// Returns false if any party would refuse.
pub(crate) fn rehearse(rehearse: &Rehearse) -> Result<bool, AskError> {
    let (ask, talk) = (&rehearse.change.ask, Talk::with(&rehearse.change.ask)?);
    let (method, event) = match rehearse.remove {
        true => ("RehearseRemoval", "remove-refused"),
        false => ("Rehearse", "refused"),
    };
    let mut all = true;
    for id in rehearse.change.list.ids() {
        let answer = talk.call_and_watch(method, &(id.0,));
        let (_, answers): (WireProcessor, Vec<AnswerRow>) = match answer {
            Ok(answer) => answer,
            Err(Failure::Refused(refusal)) => {
                all = false;
                if ask.json {
                    say::json(&refusal.json(event, id.0));
                } else {
                    say::line(&refusal.message);
                }
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        let agreed = answers.iter().all(|answer| answer.3);
        all &= agreed;
        if ask.json {
            let answers: Vec<_> = answers.iter().map(answer_json).collect();
            let mut line = json!({ "id": id.0, "agreed": agreed, "answers": answers });
            if rehearse.remove {
                line["removal"] = true.into();
            }
            say::json(&line);
            continue;
        }
        say::line(format!("{}; asked: {}", verdict(id.0, agreed, rehearse.remove), answers.len()));
        for (_, name, level, agreed, status, reason, us) in answers {
            let took = millis(Duration::from_micros(us));
            let status = Status::from_raw(status);
            match agreed {
                true => say::line(format!("  {name} (level {level}) agrees, in {took}")),
                false => {
                    say::line(format!(
                        "  {name} (level {level}) refuses, in {took}: {reason} ({status:?})"
                    ));
                }
            }
        }
    }
    Ok(all)
}

/// What would become of the processor.
pub(crate) fn verdict(id: u32, agreed: bool, removal: bool) -> String {
    let verdict = match (agreed, removal) {
        (true, false) => "could join",
        (true, true) => "could leave",
        (false, false) => "would be refused",
        (false, true) => "would not be removed",
    };
    format!("processor {id} {verdict}")
}

fn answer_json((party, name, level, agreed, status, reason, us): &AnswerRow) -> Value {
    let status = Status::from_raw(*status);
    json!({
        "party": party, "name": name, "level": level, "agreed": agreed, "reason": reason, "us": us,
        "status": format!("0x{:08X}", status.to_raw()), "status_name": status.name(),
    })
}
