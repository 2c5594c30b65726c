//! Plugging processors into a guest and removing them again, from the outside.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Error, Guest};

/// The time limit: the guest takes tens of milliseconds, and seconds when this machine is busy.
const LIMIT: Duration = Duration::from_secs(60);

const ADDED: &str = "add@/devices/system/cpu/cpu";

/// A slot for a processor, as QEMU describes it.
struct Slot {
    kind: String,
    place: Value,
    /// The path of the processor in QEMU's object tree, if the slot has one.
    object: Option<String>,
}

impl Guest {
    /// Plugs a processor into slot `n`, counted from 0, and waits until Linux shows it. Returns Linux' number for it, which is
    /// `n` if slots are filled in order. The processor is present and offline.
    ///
    /// # Errors
    /// As [`plug`](Guest::plug), and if Linux does not show it.
    pub fn add_cpu(&self, n: usize) -> Result<u32, Error> {
        let from = self.next_uevent()?;
        self.plug(n)?;
        let event = self.uevent(from, ADDED, LIMIT)?;
        event.head[ADDED.len()..].parse().map_err(|_| Error::Lost {
            what: format!("sent a uevent {}", event.head),
            console: self.console.tail(),
        })
    }

    /// Plugs a processor in, and does not wait for its effect in the guest.
    ///
    /// # Errors
    /// If the slot is taken, or as many processors were made as there are slots. QEMU has no room for more, even if some of them
    /// were removed: it would end.
    pub fn plug(&self, n: usize) -> Result<(), Error> {
        let slot = self.slot(n)?;
        let refused = |reason: String| Error::Qemu { command: "device_add".into(), reason };
        if slot.object.is_some() {
            return Err(refused(format!("there is a processor in slot {n}")));
        }
        let taken = |made| (made < self.most).then_some(made + 1);
        if self.made.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_err() {
            let all = format!("{} processors were created, including removed ones", self.most);
            return Err(refused(format!("{all}: boot a guest with more slots")));
        }
        let mut arguments = slot.place;
        arguments["driver"] = slot.kind.into();
        arguments["id"] = format!("lab-cpu{n}").into();
        self.qmp.execute("device_add", arguments).map(drop)
    }

    /// Removes the processor in slot `n`, and waits until Linux has released it and it is gone.
    ///
    /// # Errors
    /// If the slot is empty, or Linux does not release the processor.
    pub fn remove_cpu(&self, n: usize) -> Result<(), Error> {
        let command = || "device_del".to_owned();
        let Some(object) = self.slot(n)?.object else {
            let reason = format!("there is no processor in slot {n}");
            return Err(Error::Qemu { command: command(), reason });
        };
        let from = self.qmp.events().len();
        self.qmp.execute("device_del", json!({ "id": object }))?;
        let outcome = self.qmp.event(from, LIMIT, |event| outcome(event, n));
        match outcome {
            Some(Ok(())) => Ok(()),
            Some(Err(reason)) => Err(Error::Qemu { command: command(), reason }),
            None => Err(Error::Late {
                what: format!("taking out the processor in slot {n}"),
                limit: LIMIT,
                console: self.console.tail(),
            }),
        }
    }

    /// How many slots there are.
    ///
    /// # Errors
    /// If QEMU does not answer.
    pub fn slots(&self) -> Result<usize, Error> {
        self.all().map(|slots| slots.len())
    }

    fn slot(&self, n: usize) -> Result<Slot, Error> {
        let mut slots = self.all()?;
        if n < slots.len() {
            return Ok(slots.swap_remove(n));
        }
        let reason = format!("there is no slot {n}; the guest has {}", slots.len());
        Err(Error::Qemu { command: "device_add".into(), reason })
    }

    /// The slots in the order in which Linux numbers processors: by socket, core and thread.
    fn all(&self) -> Result<Vec<Slot>, Error> {
        let answer = self.qmp.execute("query-hotpluggable-cpus", json!({}))?;
        let mut slots: Vec<Value> = answer.as_array().cloned().unwrap_or_default();
        let part = |slot: &Value, name: &str| slot["props"][name].as_u64().unwrap_or(0);
        slots.sort_by_key(|s| ["socket-id", "die-id", "core-id", "thread-id"].map(|n| part(s, n)));
        let read = |slot: &Value| Slot {
            kind: slot["type"].as_str().unwrap_or_default().to_owned(),
            place: slot["props"].clone(),
            object: slot["qom-path"].as_str().map(str::to_owned),
        };
        Ok(slots.iter().map(read).collect())
    }
}

/// What an event reports about a processor that is to be removed.
fn outcome(event: &Value, n: usize) -> Option<Result<(), String>> {
    // The guest's report about an ejection is ACPI's _OST. QEMU has no event of its own for a processor that is gone: it may keep
    // the empty object for any time.
    let info = &event["data"]["info"];
    let ejection = [0x3, 0x103].map(Value::from).contains(&info["source"]);
    let slot = info["slot"].as_str().and_then(|slot| slot.parse().ok());
    if event["event"] != "ACPI_DEVICE_OST" || !ejection || slot != Some(n) {
        return None;
    }
    match info["status"].as_u64()? {
        0 => Some(Ok(())),
        // The ejection is under way.
        0x84 => None,
        status => Some(Err(format!("the guest does not release it (_OST status {status:#x})"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_answer_tells_whether_a_processor_was_released() {
        let ost = |status: u64, source: u64, slot: &str| {
            let info = json!({ "source": source, "status": status, "slot": slot });
            json!({ "event": "ACPI_DEVICE_OST", "data": { "info": info } })
        };
        assert_eq!(outcome(&ost(0, 3, "3"), 3), Some(Ok(())));
        assert_eq!(outcome(&ost(0x84, 3, "3"), 3), None, "it is under way");
        assert_eq!(outcome(&ost(0, 1, "3"), 3), None, "that it was added says nothing");
        assert_eq!(outcome(&ost(1, 3, "1"), 3), None, "another one is kept");
        let kept = outcome(&ost(1, 3, "3"), 3).expect("a guest that keeps it has the say");
        assert!(kept.unwrap_err().contains("0x1"));
        let other = json!({ "event": "RESUME", "data": {} });
        assert_eq!(outcome(&other, 3), None, "other events are about something else");
    }
}
