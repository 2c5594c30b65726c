//! [`Current`]: the set in force, and what looks at the hardware have found of which the parties have not been told.
//!
//! It has a lock of its own beside the gate, so that looks go on while a transaction waits for a party (Q4). With the lock held
//! the hardware may be called, and nobody else.

use hotadd_core::{ActiveSet, HardwareId, NotAddable, Processor, Transaction};

use crate::hardware::{Hardware, Survey};
use crate::looks::Finding;

#[derive(Debug)]
pub(crate) struct Current {
    set: ActiveSet,
    /// The processors that the transaction under way asks about. One that somebody else brings in meanwhile does not join, and
    /// is not added either (Q4).
    asked: Vec<HardwareId>,
    /// Those of them that somebody else brought in.
    touched: Vec<HardwareId>,
    /// Started by the transaction under way, and not in the set yet.
    started: Vec<HardwareId>,
    /// Stopped by it, and still in the set.
    stopped: Vec<HardwareId>,
    /// A look came when one of these was not in the set, or still in it: it has not looked at that one.
    early: bool,
    /// What changed without asking, in order, until the parties have been told.
    untold: Vec<Untold>,
    /// The processor that the transaction under way removes had left without asking before it was stopped.
    preceded: bool,
    /// Intruders that were reported and have not joined yet.
    reported: Vec<HardwareId>,
}

/// A change that nobody was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untold {
    /// It left (X2). Who heard of its coming is to be told (X4).
    Left(Processor),
    /// It joined (Q3). Nobody who is registered heard of that.
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

    /// Begins to ask about the processors of a transaction.
    pub(crate) fn ask(&mut self, transaction: &Transaction) {
        self.asked = transaction.processors().iter().map(|p| p.id).collect();
    }

    /// The transaction that asked is over. Returns whether somebody has touched what it asked about.
    pub(crate) fn asked(&mut self) -> bool {
        self.asked.clear();
        self.reported.append(&mut self.touched);
        !self.reported.is_empty()
    }

    /// Whether somebody else brought this one in while it was being asked about.
    pub(crate) fn is_touched(&self, id: HardwareId) -> bool {
        self.touched.contains(&id)
    }

    /// Takes down one that somebody else has switched. False if that is known.
    pub(crate) fn touch(&mut self, id: HardwareId) -> bool {
        let new = !self.touched.contains(&id);
        if new {
            self.touched.push(id);
        }
        new
    }

    /// The transaction under way has started a processor: a look before it is in the set does not find an intruder.
    pub(crate) fn started(&mut self, id: HardwareId) {
        self.started.push(id);
    }

    /// It has stopped one: a look before it is out of the set does not find that it vanished.
    pub(crate) fn stopped(&mut self, id: HardwareId) {
        match self.started.iter().position(|started| *started == id) {
            // An atomic batch has taken it back.
            Some(at) => drop(self.started.remove(at)),
            None => self.stopped.push(id),
        }
    }

    /// Whether a processor that is to be stopped is gone already.
    pub(crate) fn is_gone(&self, id: HardwareId) -> bool {
        self.set.active(id).is_none() && !self.started.contains(&id)
    }

    /// Makes the transaction's next set from the one in force. Also says whether a look is due, because one came too early for what
    /// has joined or left by this.
    pub(crate) fn advance(&mut self, transaction: &mut Transaction) -> (&ActiveSet, bool) {
        self.set = transaction.publish(&self.set);
        // One that has joined is like any other from now on.
        self.asked.retain(|id| self.set.active(*id).is_none());
        self.started.clear();
        self.stopped.clear();
        if transaction.is_removal() {
            transaction.changed().iter().for_each(|processor| self.left(*processor));
        }
        (&self.set, std::mem::take(&mut self.early))
    }

    /// It has left as agreed. Everybody who heard of it is about to be told so, and is not told of what went before besides.
    fn left(&mut self, processor: Processor) {
        let last = self.untold.iter().rfind(|untold| untold.processor() == processor);
        self.preceded = matches!(last, Some(Untold::Left(_)));
        self.untold.retain(|untold| untold.processor() != processor);
    }

    /// Whether the processor that was removed had left without asking before that, and was not back.
    pub(crate) fn take_preceded(&mut self) -> bool {
        std::mem::take(&mut self.preceded)
    }

    pub(crate) fn next_untold(&mut self) -> Option<Untold> {
        (!self.untold.is_empty()).then(|| self.untold.remove(0))
    }

    pub(crate) const fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// What somebody who registers now without a replay is not told of (R2), and so of its end neither (X4).
    pub(crate) fn unheard(&self) -> Vec<Processor> {
        // One that has left may still have to be told of.
        let untold = self.untold.iter().map(|untold| untold.processor());
        self.set.iter().chain(untold).collect()
    }

    /// Looks at the hardware, and changes the set by what left or came without asking (X2, Q3). Each finding is told with the set
    /// in force behind it. Returns what has appeared besides.
    pub(crate) fn look(
        &mut self,
        hardware: &dyn Hardware,
        mut found: impl FnMut(&ActiveSet, Finding),
    ) -> (Vec<HardwareId>, Vec<HardwareId>) {
        let in_set = self.set.iter().map(|p| p.id).filter(|id| !self.stopped.contains(id));
        let expected: Vec<HardwareId> = in_set.chain(self.started.iter().copied()).collect();
        self.early |= !self.started.is_empty() || !self.stopped.is_empty();
        let Survey { mut vanished, intruded, mut appeared, repaired } = hardware.survey(&expected);
        // One that was started and is gone again is found when it is in the set.
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
        // What somebody did comes before the request that it is taken for (H3).
        for sentence in repaired {
            found(&self.set, Finding::Repaired(sentence));
        }
        appeared.retain(|id| !self.asked.contains(id));
        (intruded, appeared)
    }

    fn intruded(&mut self, id: HardwareId, found: &mut impl FnMut(&ActiveSet, Finding)) {
        if self.stopped.contains(&id) {
            // Found when it is out of the set.
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
        // The next free indexes are those of the processors that are being added.
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
