//! [`Removed`]: why processors are out. Of each what was last said of it: that it was refused, failed to start, or left without asking;
//! until it joins.
//!
//! The history has this too, but only as long as there is room; here nothing makes way for something newer about another
//! processor.

use std::collections::BTreeMap;
use std::sync::Arc;

use hotadd::{Event, EventKind, HardwareId, MAX_PROCESSORS, Occasion, Status};
use hotadd_wire::{AbsentRow, Room};

use crate::text::presentable;

/// Of how many processors it is kept: a partition has no more.
const MOST: usize = MAX_PROCESSORS as usize;

/// What one takes in a message besides its texts: numbers, lengths, and what aligns them.
const ROW_BYTES: usize = 64;

/// Why a processor is out.
#[derive(Debug)]
pub(crate) struct Absence {
    /// Empty if it was no party.
    party: String,
    status: Status,
    /// 0 if there is none.
    errno: u32,
    clause: &'static str,
    reason: String,
    /// Milliseconds since 1970.
    time: u64,
    /// The how many'th it was: clocks are set back.
    nth: u64,
}

/// Why processors are out.
#[derive(Default)]
pub(crate) struct Removed {
    absences: BTreeMap<u32, Arc<Absence>>,
    /// How many there were.
    count: u64,
}

impl Removed {
    /// Something happened at this time, in milliseconds since 1970.
    pub(crate) fn observe(
        &mut self,
        event: &Event,
        time: u64,
        is_active: impl FnOnce(HardwareId) -> bool,
    ) {
        // A party that may not register refuses a processor that is active.
        let (Some(id), Occasion::Change) = (event.id, event.occasion) else { return };
        match event.kind {
            // Where one is plugged in the one that was refused is gone. That one is pulled out which never joined is no event.
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
                // There is no such processor, or none any more: nothing keeps it out.
                Status::NO_SUCH_DEVICE | Status::DEVICE_DOES_NOT_EXIST => {
                    if self.absences.get(&id.0).is_some_and(|absence| absence.clause != "X2") {
                        self.absences.remove(&id.0);
                    }
                    return;
                }
                // Who asked is wrong. It says nothing of the processor.
                Status::INVALID_PARAMETER => return,
                _ => {}
            }
        }
        self.keep(id, status, event, time);
    }

    fn keep(&mut self, id: HardwareId, status: Status, event: &Event, time: u64) {
        self.count += 1;
        let absence = Absence {
            party: event.party.as_ref().map(|p| presentable(&p.name)).unwrap_or_default(),
            status,
            errno: event.errno.map_or(0, |errno| errno.to_raw().unsigned_abs()),
            clause: event.clause.unwrap_or_default(),
            reason: event.reason.as_deref().map(presentable).unwrap_or_default(),
            time,
            nth: self.count,
        };
        self.absences.insert(id.0, Arc::new(absence));
        if self.absences.len() > MOST {
            self.make_room();
        }
    }

    /// More ids than there can be processors at a time: they were pulled out, or nobody was asked about them. The oldest of
    /// the latter goes first.
    fn make_room(&mut self) {
        let rank = |absence: &Absence| (absence.clause != "A8", absence.nth);
        let oldest = self.absences.iter().min_by_key(|(_, absence)| rank(absence));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.absences.remove(&id);
        }
    }

    /// Those of this processor and the ones behind it, ascending: as many as fit into one message.
    pub(crate) fn from(&self, first: u32) -> Vec<(u32, Arc<Absence>)> {
        let mut room = Room::default();
        let fits = |(_, absence): &(&u32, &Arc<Absence>)| {
            room.takes(ROW_BYTES + absence.party.len() + absence.reason.len())
        };
        let fitting = self.absences.range(first..).take_while(fits);
        fitting.map(|(id, absence)| (*id, Arc::clone(absence))).collect()
    }
}

/// One for the wire.
pub(crate) fn row((id, absence): (u32, Arc<Absence>)) -> AbsentRow {
    let Absence { party, status, errno, clause, reason, time, .. } = &*absence;
    (id, party.clone(), status.to_raw(), *errno, (*clause).to_owned(), reason.clone(), *time)
}
