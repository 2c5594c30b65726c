//! Traces of running partitions: their history, and then what happens until the time is up or Ctrl-C is pressed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use hotadd_daemon::trace::{Beginning, Converter, Step, now, unix_ms};
use hotadd_wire::{self as wire, WaitingRow, WireSet};
use serde_json::Value;

use super::AskError;
use super::failure::Failure;
use super::talk::Talk;
use crate::args::Ask;
use crate::say;

/// How often the partition is asked for new events, and for how many at most: as many as it keeps.
const EVERY: Duration = Duration::from_millis(250);
const MOST: u32 = 1000;

/// Hands the events of a trace to `write`, in order, until the time is up, Ctrl-C is pressed, the partition ends or `write` returns
/// false.
pub(crate) fn follow(
    ask: &Ask,
    time: Option<Duration>,
    mut write: impl FnMut(&[Value]) -> bool,
) -> Result<(), AskError> {
    let talk = Talk::with(ask)?;
    let until = time.map(|time| Instant::now() + time);
    let (history, beginning) = begin(&talk, ask)?;
    let mut seen = Seen::default();
    let (mut trace, first) = Converter::begin(beginning);
    let mut goes_on = write(&first) && write(&seen.take(&mut trace, history));
    while goes_on {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            break;
        }
        if talk.pause(left.map_or(EVERY, |left| left.min(EVERY))).is_err() {
            break;
        }
        match steps(&talk) {
            Ok(steps) => goes_on = write(&seen.take(&mut trace, steps)),
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

/// The events that the partition has, oldest first.
fn steps(talk: &Talk) -> Result<Vec<Step>, Failure> {
    let events: Vec<String> = talk.call_anew("GetHistory", &MOST)?;
    // Entries that are not valid are skipped.
    Ok(events.iter().filter_map(|event| serde_json::from_str(event).ok()).collect())
}

/// The history, and what the partition was like before it.
fn begin(talk: &Talk, ask: &Ask) -> Result<(Vec<Step>, Beginning), Failure> {
    let mut history = steps(talk)?;
    let set: WireSet = talk.call_anew("GetSet", &())?;
    let set = wire::read_set(set).map_err(|error| Failure::Broken(error.to_string()))?;
    let spare: Vec<u32> = talk.call_anew("GetCandidates", &())?;
    // What happened between the two answers belongs to the trace, and not to what was before it.
    let epoch = set.epoch().0;
    history.retain(|step| step.epoch <= epoch);
    let mut active: BTreeSet<u32> = set.iter().map(|processor| processor.id.0).collect();
    let mut spare: BTreeSet<u32> = spare.into_iter().filter(|id| !active.contains(id)).collect();
    for step in history.iter().rev() {
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

/// Which events were seen.
#[derive(Default)]
struct Seen {
    last: u64,
}

impl Seen {
    /// What the events that are new add to the trace.
    fn take(&mut self, trace: &mut Converter, steps: Vec<Step>) -> Vec<Value> {
        let mut made = Vec::new();
        for step in steps {
            // Partitions of earlier versions do not number their events.
            if step.seq <= self.last {
                continue;
            }
            if self.last > 0 && step.seq > self.last + 1 {
                made.extend(trace.lost(step.seq - self.last - 1, step.mono));
            }
            self.last = step.seq;
            made.extend(trace.step(&step));
        }
        made
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn steps(of: impl IntoIterator<Item = u64>) -> Vec<Step> {
        let step = |seq: u64| json!({ "event": "appeared", "id": seq, "seq": seq, "mono": seq });
        of.into_iter().map(|seq| serde_json::from_value(step(seq)).unwrap()).collect()
    }

    #[test]
    fn each_event_is_taken_once_and_a_gap_is_shown() {
        let (mut trace, _) = Converter::begin(Beginning::default());
        let mut seen = Seen::default();
        assert_eq!(seen.take(&mut trace, steps(5..8)).len(), 3, "the history may begin anywhere");
        assert_eq!(seen.take(&mut trace, steps(6..9)).len(), 1);
        let made = seen.take(&mut trace, steps(12..13));
        assert_eq!(
            (&made[0]["name"], &made[0]["args"]["count"]),
            (&json!("events lost"), &json!(3))
        );
        assert_eq!(made.len(), 2);
    }
}
