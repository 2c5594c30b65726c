//! [`Current`]: the current active set, and the detected changes of which the parties have not been told yet.
//!
//! It has its own lock beside the gate, so that checks of the hardware continue while a transaction waits for a party (Q4). While
//! the lock is held, only the hardware may be called.

use hotadd_core::{ActiveSet, HardwareId, NotAddable, Processor, Transaction};

use crate::hardware::{Hardware, Survey};
use crate::looks::Finding;

#[derive(Debug)]
pub(crate) struct Current {
    set: ActiveSet,
    /// The processors about which the transaction in progress asks. If another process brings one in meanwhile, it does not join,
    /// and it is not added either (Q4).
    asked: Vec<HardwareId>,
    /// Those of `asked` that another process brought in.
    touched: Vec<HardwareId>,
    /// Started by the transaction in progress, and not in the set yet.
    started: Vec<HardwareId>,
    /// Stopped by the transaction in progress, and still in the set.
    stopped: Vec<HardwareId>,
    /// A check came before a started processor was in the set, or before a stopped one was out of it. It skipped that processor.
    early: bool,
    /// Changes made without the partition, in order, until the parties have been told.
    untold: Vec<Untold>,
    /// The processor that the transaction in progress removes vanished before it was stopped.
    preceded: bool,
    /// Intruders that were reported and have not joined yet.
    reported: Vec<HardwareId>,
}

/// A change about which no party was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// The processor left (X2). The parties that were told of it must be told that it left (X4).
    Left(Processor),
    /// The processor joined (Q3). No registered party was told that it joined.
    Came(Processor),
}

impl Untold {
    const fn processor(self) -> Processor {
        match self {
            Self::Left(processor) | Self::Came(processor) => processor,
        }
    }
}

impl Current {
    pub(crate) const fn new(set: ActiveSet) -> Self {
        Self {
            set,
            asked: Vec::new(),
            touched: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            early: false,
            untold: Vec::new(),
            preceded: false,
            reported: Vec::new(),
        }
    }

    pub(crate) const fn set(&self) -> &ActiveSet {
        &self.set
    }

    /// Records the processors about which a transaction begins to ask.
    pub(crate) fn ask(&mut self, transaction: &Transaction) {
        self.asked = transaction.processors().iter().map(|p| p.id).collect();
    }

    /// Ends the asking of the transaction. Returns whether another process switched one of its processors meanwhile.
    pub(crate) fn asked(&mut self) -> bool {
        self.asked.clear();
        self.reported.append(&mut self.touched);
        !self.reported.is_empty()
    }

    /// The first processor of the transaction in progress that another process brought in (Q4).
    pub(crate) fn touched(&self) -> Option<Processor> {
        self.touched.iter().find_map(|id| self.set.by_id(*id))
    }

    /// Records that another process switched this processor. Returns false if it was already recorded.
    pub(crate) fn touch(&mut self, id: HardwareId) -> bool {
        let new = !self.touched.contains(&id);
        if new {
            self.touched.push(id);
        }
        new
    }

    /// The transaction in progress has started a processor. Until it is in the set, a check does not treat it as an intruder.
    pub(crate) fn started(&mut self, id: HardwareId) {
        self.started.push(id);
    }

    /// The transaction in progress has stopped a processor. Until it is out of the set, a check does not treat it as vanished.
    pub(crate) fn stopped(&mut self, id: HardwareId) {
        match self.started.iter().position(|started| *started == id) {
            // An atomic batch has stopped it again.
            Some(at) => drop(self.started.remove(at)),
            None => self.stopped.push(id),
        }
    }

    /// Whether a processor that is to be stopped has already vanished.
    pub(crate) fn is_gone(&self, id: HardwareId) -> bool {
        self.set.active(id).is_none() && !self.started.contains(&id)
    }

    /// Makes the transaction's next set from the current one. Also returns whether a check is due, because an earlier one
    /// came too early for the processors that this step lets join or leave.
    pub(crate) fn advance(&mut self, transaction: &mut Transaction) -> (&ActiveSet, bool) {
        self.set = transaction.publish(&self.set);
        // A processor that has joined is treated like any other from now on.
        self.asked.retain(|id| self.set.active(*id).is_none());
        self.started.clear();
        self.stopped.clear();
        if transaction.is_removal() {
            transaction.changed().iter().for_each(|processor| self.left(*processor));
        }
        (&self.set, std::mem::take(&mut self.early))
    }

    /// The processor has left with agreement. All parties that were told of it are about to be told that it left, so an earlier
    /// vanishing is not reported to them as well.
    fn left(&mut self, processor: Processor) {
        let last = self.untold.iter().rfind(|untold| untold.processor() == processor);
        self.preceded = matches!(last, Some(Untold::Left(_)));
        self.untold.retain(|untold| untold.processor() != processor);
    }

    /// Whether the removed processor had vanished before the removal and had not come back.
    pub(crate) fn take_preceded(&mut self) -> bool {
        std::mem::take(&mut self.preceded)
    }

    pub(crate) fn next_untold(&mut self) -> Option<Untold> {
        (!self.untold.is_empty()).then(|| self.untold.remove(0))
    }

    pub(crate) const fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// The processors of which a party is not told if it registers now without a replay (R2), nor of their end (X4).
    pub(crate) fn unheard(&self) -> Vec<Processor> {
        // The parties may not have been told yet that a processor has left.
        let untold = self.untold.iter().map(|untold| untold.processor());
        self.set.iter().chain(untold).collect()
    }

    /// Checks the hardware, and changes the set by the processors that left or came without the partition (X2, Q3). Each finding
    /// is passed on with the set that results from it. Returns the intruders and the processors that have appeared.
    pub(crate) fn look(
        &mut self,
        hardware: &dyn Hardware,
        mut found: impl FnMut(&ActiveSet, Finding),
    ) -> (Vec<HardwareId>, Vec<HardwareId>) {
        let in_set = self.set.iter().map(|p| p.id).filter(|id| !self.stopped.contains(id));
        let expected: Vec<HardwareId> = in_set.chain(self.started.iter().copied()).collect();
        self.early |= !self.started.is_empty() || !self.stopped.is_empty();
        let Survey { mut vanished, intruded, mut appeared, repaired } = hardware.survey(&expected);
        // A processor that was started and has vanished again is found once it is in the set.
        vanished.retain(|id| !self.started.contains(id));
        if let Some((set, lost)) = self.set.lose(&vanished) {
            self.set = set;
            for processor in lost {
                self.untold.push(Untold::Left(processor));
                found(&self.set, Finding::Vanished(processor));
            }
        }
        for id in &intruded {
            self.intruded(*id, &mut found);
        }
        self.reported.retain(|id| intruded.contains(id));
        // Report the change of another process before the request that it counts as (H3).
        for sentence in repaired {
            found(&self.set, Finding::Repaired(sentence));
        }
        appeared.retain(|id| !self.asked.contains(id));
        (intruded, appeared)
    }

    fn intruded(&mut self, id: HardwareId, found: &mut impl FnMut(&ActiveSet, Finding)) {
        if self.stopped.contains(&id) {
            // Found once it is out of the set.
            return;
        }
        if self.asked.contains(&id) {
            if self.touch(id)
                && let Some(processor) = self.set.by_id(id)
            {
                found(&self.set, Finding::Touched(processor));
            }
            return;
        }
        let reported = self.reported.contains(&id);
        // The next free indexes belong to the processors that are being added.
        if !self.set.proposed().is_empty() && self.set.by_id(id).is_none() {
            if !reported {
                self.reported.push(id);
                found(&self.set, Finding::Waits(id));
            }
            return;
        }
        match self.set.intrude(id) {
            Ok((set, processor)) => {
                self.set = set;
                self.untold.push(Untold::Came(processor));
                self.reported.retain(|one| *one != id);
                found(&self.set, Finding::Intruded { processor, reported });
            }
            Err(NotAddable::AlreadyActive(_)) => {}
            Err(why) => found(&self.set, Finding::Uncountable(id, why)),
        }
    }
}
