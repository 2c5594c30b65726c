//! What a running partition says, as lines for people: parties, waits, events and reasons.

use std::time::Duration;

use hotadd_daemon::view::millis;
use hotadd_wire::WaitingRow;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// A registered party.
pub(super) fn party_line(party: &Value) -> String {
    let place = if party["remote"] == true { "in another process" } else { "in this process" };
    let name = party["name"].as_str().unwrap_or_default();
    format!("{name} (#{}, level {}, {place})", party["party"], party["level"])
}

/// An event of the history for a person.
pub(super) fn event_line(event: &Value) -> String {
    let time = event["time"].as_u64().map(clock).unwrap_or_default();
    format!("{time} {}", event_text(event))
}

/// The same without the time.
pub(crate) fn event_text(event: &Value) -> String {
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
    format!("{event}{id}{who}{unasked}{replay}{took}{reason}")
}

/// The party that refused, its reason, its status and the clause.
pub(crate) fn why(event: &Value) -> String {
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

/// A party that is being waited for.
pub(crate) fn waiting_line((name, state, id, us): &WaitingRow) -> String {
    let took = millis(Duration::from_micros(*us));
    format!("waiting for {name}: {state} of processor {id}, {took}")
}

/// A text as it is, any other value as JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use hotadd::Status;
    use serde_json::json;

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
