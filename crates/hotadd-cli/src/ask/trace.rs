//! Traces of running partitions: their history, and then what happens until the time is up or Ctrl-C is pressed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hotadd_daemon::trace::{Beginning, Converter, Step, now, unix_ms};
use hotadd_wire::{self as wire, WaitingRow, WireSet};
use serde_json::Value;

use super::error::AskError;
use super::events::{MOST_PAST, Position};
use super::failure::Failure;
use super::talk::Talk;
use crate::args::Ask;
use crate::say;

/// How often the partition is asked for new events.
const EVERY: Duration = Duration::from_millis(250);

/// Hands the events of a trace to `write`, in order, until the time is up, Ctrl-C is pressed, the partition ends or `write` returns
/// false.
pub(crate) fn follow(
    ask: &Ask,
    time: Option<Duration>,
    mut write: impl FnMut(&[Value]) -> bool,
) -> Result<(), AskError> {
    let talk = Talk::with(ask)?;
    let until = time.map(|time| Instant::now() + time);
    let mut position = Position::default();
    let (history, beginning) = begin(&talk, ask, &mut position)?;
    let (mut trace, first) = Converter::begin(beginning);
    let mut goes_on = write(&first) && write(&add(&mut trace, 0, &history));
    while goes_on {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if talk.pause(left.map_or(EVERY, |left| left.min(EVERY))).is_err() {
            break;
        }
        match read(&talk, &mut position) {
            Ok((missed, steps)) => goes_on = write(&add(&mut trace, missed, &steps)),
            Err(Failure::Interrupted(_)) => break,
            // It has ended, as a rule.
            Err(Failure::Closed(why) | Failure::Broken(why) | Failure::NoPartition(why)) => {
                say::note(format!("hotadd: the trace ends here: {why}"));
                write(&trace.end(now()));
                return Ok(());
            }
            Err(other) => return Err(other.into()),
        }
    }
    if goes_on {
        // The parties that have not answered yet. The trace is written even if the partition does not name them.
        let waiting: Vec<WaitingRow> = talk.call_anew("GetWaiting", &()).unwrap_or_default();
        for (name, state, id, us) in waiting {
            let step = Step::waiting(name, state, id, now().saturating_sub(us));
            write(&trace.step(&step));
        }
        write(&trace.end(now()));
    }
    Ok(())
}

/// The events up to now, oldest first, and how many before them were missed.
fn read(talk: &Talk, position: &mut Position) -> Result<(u64, Vec<Step>), Failure> {
    let (mut missed, mut steps) = (0, Vec::new());
    while steps.len() < MOST_PAST {
        let part = position.read(talk.call_anew("GetEvents", &(position.next(),)))?;
        if part.events.is_empty() {
            break;
        }
        missed += part.missed;
        // Entries that are not valid are skipped.
        steps
            .extend(part.events.into_iter().filter_map(|event| serde_json::from_value(event).ok()));
    }
    Ok((missed, steps))
}

/// What these events, and a gap before them, add to the trace.
fn add(trace: &mut Converter, missed: u64, steps: &[Step]) -> Vec<Value> {
    let mut made = Vec::new();
    if missed > 0 {
        made.extend(trace.lost(missed, steps.first().map_or_else(now, |step| step.mono)));
    }
    steps.iter().for_each(|step| made.extend(trace.step(step)));
    made
}

/// The history, and what the partition was like before it.
fn begin(
    talk: &Talk,
    ask: &Ask,
    position: &mut Position,
) -> Result<(Vec<Step>, Beginning), Failure> {
    // In this order: what happens between the answers is in a later one.
    let spare: Vec<u32> = talk.call_anew("GetCandidates", &())?;
    let set: WireSet = talk.call_anew("GetSet", &())?;
    let set = wire::read_set(set).map_err(|error| Failure::Broken(error.to_string()))?;
    let (_, history) = read(talk, position)?;
    let mut active: BTreeSet<u32> = set.iter().map(|processor| processor.id.0).collect();
    let mut spare: BTreeSet<u32> = spare.into_iter().filter(|id| !active.contains(id)).collect();
    // The set had these processors after this epoch. What happened later was not in it.
    let epoch = set.epoch().0;
    for step in history.iter().rev().filter(|step| step.epoch <= epoch) {
        let Some(id) = step.id else { continue };
        match step.event.as_str() {
            "joined" => {
                active.remove(&id);
                spare.insert(id);
            }
            "left" => {
                active.insert(id);
                spare.remove(&id);
            }
            _ => {}
        }
    }
    let earliest = history.iter().map(|step| step.mono.saturating_sub(step.us.unwrap_or(0))).min();
    let mono = earliest.filter(|earliest| *earliest > 0).unwrap_or_else(now);
    let time = unix_ms().saturating_sub(now().saturating_sub(mono) / 1000);
    let name = ask.partition.clone().unwrap_or_default();
    let beginning = Beginning { name, hardware: String::new(), active, spare, mono, time };
    Ok((history, beginning))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gap_is_shown_before_the_events_that_follow_it() {
        let (mut trace, _) = Converter::begin(Beginning::default());
        let step = json!({ "event": "appeared", "id": 1, "mono": 7 });
        let made = add(&mut trace, 3, &[serde_json::from_value(step).unwrap()]);
        assert_eq!(
            (&made[0]["name"], &made[0]["args"]["count"]),
            (&json!("events lost"), &json!(3))
        );
        assert_eq!(made.len(), 2);
        assert_eq!(add(&mut trace, 3, &[]).len(), 1, "nothing follows the gap yet");
        assert!(add(&mut trace, 0, &[]).is_empty());
    }
}
