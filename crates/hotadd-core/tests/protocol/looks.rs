//! What the partition does about processors that are switched by hand (Q4) and about named parties that are
//! missing (L4).

use std::collections::BTreeSet;

use hotadd_core::HardwareId;

use crate::violation::{Event, Events};
use crate::world::{Answer, Job, Kind, Partition, Untold, View};

impl Partition {
    /// Looks at what runs. A processor that left is out of the set at once. A processor that came is in the
    /// set at once, unless it is the one that the parties are being asked about. The parties are told later.
    pub(crate) fn look(&mut self, running: &BTreeSet<u32>, events: &Events) {
        let active = self.view.active();
        let meanwhile = self.job.is_some();
        // A processor that the transaction started or stopped is skipped until the transaction has published it.
        let own = |id: HardwareId| self.job.as_ref().is_some_and(|job| job.switched(id));
        let ids = active.iter().map(|p| p.id);
        let gone: Vec<HardwareId> =
            ids.filter(|id| !running.contains(&id.0) && !own(*id)).collect();
        let ids = running.iter().copied().map(HardwareId);
        let came: Vec<HardwareId> =
            ids.filter(|id| !self.view.is_active(*id) && !own(*id)).collect();
        if let Some((set, lost)) = self.view.set().lose(&gone) {
            self.view = View::of(&set);
            self.untold.extend(lost.into_iter().map(Untold::Left));
            events.record(if meanwhile { Event::VanishedMeanwhile } else { Event::Vanished });
        }
        for id in came {
            self.intruded(id, events);
        }
    }

    fn intruded(&mut self, id: HardwareId, events: &Events) {
        let set = self.view.set();
        let meanwhile = self.job.is_some();
        if let Some(job) = &mut self.job
            && job.kind == Kind::Add(id)
            && set.by_id(id).is_some_and(|processor| set.proposed().contains(&processor))
        {
            job.touched = true;
            return;
        }
        if !set.proposed().is_empty() && set.by_id(id).is_none() {
            // The next free index is that of the processor that is being added.
            events.record(Event::Waits);
            return;
        }
        let (set, processor) = set.intrude(id).expect("it is not active, and there is room");
        self.view = View::of(&set);
        self.untold.push(Untold::Came(processor));
        events.record(if meanwhile { Event::IntrudedMeanwhile } else { Event::Intruded });
    }

    /// Whether a named party is missing: it is not registered, or it has crashed in the transaction under way (L4).
    pub(crate) fn is_missing(&self) -> bool {
        let crashed = |member| {
            let answers = self.job.iter().flat_map(|job| &job.answers);
            answers.into_iter().any(|(key, answer)| key.0 == member && *answer == Answer::Crashed)
        };
        let is_there = |at: &usize| {
            let mut theirs = self.members.iter().filter(|member| member.connection.0 == *at);
            theirs.any(|member| !member.lost && !crashed(member.id))
        };
        !self.named.iter().all(is_there)
    }

    /// Whether a processor is not to be started although all have agreed.
    pub(crate) fn objects(&self, events: &Events) -> bool {
        let adds = |job: &&Job| job.acting.is_some() && matches!(job.kind, Kind::Add(_));
        let Some(job) = self.job.as_ref().filter(adds) else { return false };
        let missing = self.is_missing();
        if missing {
            events.record(Event::ObjectedMissing);
        }
        if job.touched {
            events.record(Event::Touched);
        }
        job.touched || missing
    }

    /// Whether the processor that is to be stopped is gone already.
    pub(crate) fn is_gone(&self) -> bool {
        let acting = self.job.as_ref().and_then(|job| job.acting);
        acting.is_some_and(|processor| {
            matches!(self.job, Some(Job { kind: Kind::Remove(_), .. }))
                && !self.view.is_active(processor.id)
        })
    }
}

impl Job {
    /// Whether the platform has started or stopped this processor, and the set does not show it yet.
    pub(crate) fn switched(&self, id: HardwareId) -> bool {
        let ours = matches!(self.kind, Kind::Add(our) | Kind::Remove(our) if our == id);
        ours && self.going && self.acted.last() == Some(&true)
    }
}
