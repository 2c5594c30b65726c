//! [`Removed`]: why processors are not active. For each processor this keeps the latest reason: it was refused, failed to start, or
//! left without asking. The entry is deleted when the processor joins.
//!
//! The history has these events too, but only while there is room. Here an entry never makes room for a newer one about another
//! processor.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotadd::{Event, EventKind, HardwareId, MAX_PROCESSORS, Occasion, Status};
use hotadd_wire::{AbsentRow, Room};

use crate::text::presentable;

/// The maximum number of entries: a partition has no more processors.
const MOST: usize = MAX_PROCESSORS as usize;

/// The size of a row in a message besides its texts: numbers, lengths and alignment.
const ROW_BYTES: usize = 64;

/// Why a processor is not active.
#[derive(Debug)]
pub(crate) struct Absence {
    /// Empty if no party was the cause.
    party: String,
    status: Status,
    /// 0 if there is none.
    errno: u32,
    clause: &'static str,
    reason: String,
    /// Milliseconds since 1970.
    time: u64,
    /// The sequence number of the entry. The time cannot order entries, because clocks are set back.
    nth: u64,
}

/// The reasons why processors are not active, by hardware id.
#[derive(Default)]
pub(crate) struct Removed {
    absences: BTreeMap<u32, Arc<Absence>>,
    /// The number of entries made so far.
    made: u64,
}

impl Removed {
    /// Handles an event. `time` is in milliseconds since 1970.
    pub(crate) fn observe(
        &mut self,
        event: &Event,
        time: u64,
        is_active: impl FnOnce(HardwareId) -> bool,
    ) {
        // A refusal outside a change concerns a registration: a party that may not register refuses an active processor.
        let (Some(id), Occasion::Change) = (event.id, event.occasion) else { return };
        match event.kind {
            // If a processor is plugged in, the processor that was refused is gone. Unplugging a processor that never joined
            // emits no event.
            EventKind::Joined | EventKind::Appeared => drop(self.absences.remove(&id.0)),
            EventKind::Refused if !is_active(id) => self.refused(id, event, time),
            EventKind::Left if event.surprise => self.keep(id, Status::SUCCESS, event, time),
            _ => {}
        }
    }

    fn refused(&mut self, id: HardwareId, event: &Event, time: u64) {
        let status = event.status.unwrap_or(Status::UNSUCCESSFUL);
        if event.clause == Some("A8") {
            match status {
                // The processor does not exist, or not any more. So nothing refuses it.
                Status::NO_SUCH_DEVICE | Status::DEVICE_DOES_NOT_EXIST => {
                    if self.absences.get(&id.0).is_some_and(|absence| absence.clause != "X2") {
                        self.absences.remove(&id.0);
                    }
                    return;
                }
                // The request is wrong. This says nothing about the processor.
                Status::INVALID_PARAMETER => return,
                _ => {}
            }
        }
        self.keep(id, status, event, time);
    }

    fn keep(&mut self, id: HardwareId, status: Status, event: &Event, time: u64) {
        self.made += 1;
        let absence = Absence {
            party: event.party.as_ref().map(|p| presentable(&p.name)).unwrap_or_default(),
            status,
            errno: event.errno.map_or(0, |errno| errno.to_raw().unsigned_abs()),
            clause: event.clause.unwrap_or_default(),
            reason: event.reason.as_deref().map(presentable).unwrap_or_default(),
            time,
            nth: self.made,
        };
        self.absences.insert(id.0, Arc::new(absence));
        if self.absences.len() > MOST {
            self.make_room();
        }
    }

    /// Removes one entry. It is needed when there are more ids than a partition can have processors at a time: some were
    /// unplugged, or no party was asked about them. The oldest of the latter is removed first.
    fn make_room(&mut self) {
        let rank = |absence: &Absence| (absence.clause != "A8", absence.nth);
        let oldest = self.absences.iter().min_by_key(|(_, absence)| rank(absence));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.absences.remove(&id);
        }
    }

    /// How many processors were refused or failed to start, and how many vanished.
    pub(crate) fn count(&self) -> (usize, usize) {
        let vanished = self.absences.values().filter(|absence| absence.clause == "X2").count();
        (self.absences.len() - vanished, vanished)
    }

    /// The entries of this processor and those with greater ids, ascending: as many as fit into one message.
    pub(crate) fn from(&self, first: u32) -> Vec<(u32, Arc<Absence>)> {
        let mut room = Room::default();
        let fits = |(_, absence): &(&u32, &Arc<Absence>)| {
            room.takes(ROW_BYTES + absence.party.len() + absence.reason.len())
        };
        let fitting = self.absences.range(first..).take_while(fits);
        fitting.map(|(id, absence)| (*id, Arc::clone(absence))).collect()
    }
}

/// Converts an entry to a row.
pub(crate) fn row((id, absence): (u32, Arc<Absence>)) -> AbsentRow {
    let Absence { party, status, errno, clause, reason, time, .. } = &*absence;
    (id, party.clone(), status.to_raw(), *errno, (*clause).to_owned(), reason.clone(), *time)
}
