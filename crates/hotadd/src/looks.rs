//! Checks of the hardware, also while a transaction is in progress (Q4), and the reports of their findings.
//!
//! The checking thread changes the set and tells the observers at once. The thread inside the gate tells the parties when its
//! transaction is over, because they are called one at a time and in order (A7).

use hotadd_core::{ActiveSet, HardwareId, NotAddable, Processor, Transaction};

use crate::current::{Current, Untold};
use crate::error::Error;
use crate::event::{Event, EventKind, Occasion};
use crate::hardware::Nudged;
use crate::inner::{Inner, State};
use crate::member::Member;
use crate::sync::{Ordering, fence, lock, try_lock};

/// A finding of a check.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The processor left without a remove (X2).
    Vanished(Processor),
    /// The processor joined without agreement (Q3). `reported`: an earlier finding has reported it.
    Intruded { processor: Processor, reported: bool },
    /// Another process brought the processor in while the parties were being asked about it (Q4).
    Touched(Processor),
    /// An intruder that joins when the add in progress is over.
    Waits(HardwareId),
    /// An intruder that cannot join.
    Uncountable(HardwareId, NotAddable),
    /// A wrong state was found and repaired.
    Repaired(String),
}

impl Finding {
    /// The events that report the finding to the observers.
    fn events(self, set: &ActiveSet, mut each: impl FnMut(Event)) {
        let unnumbered = match &self {
            Self::Waits(id) | Self::Uncountable(id, _) => Some(*id),
            _ => None,
        };
        let mut event = |kind, clause, processor: Option<Processor>, reason: Option<String>| {
            let mut event = Event::new(kind, set.epoch());
            event.id = unnumbered;
            if let Some(processor) = processor {
                event.concerns(processor);
            }
            event.surprise = kind == EventKind::Left;
            event.agreed = kind != EventKind::Joined;
            event.reason = reason;
            event.clause = Some(clause);
            each(event);
        };
        match self {
            Self::Vanished(processor) => event(EventKind::Left, "X2", Some(processor), None),
            Self::Intruded { processor, reported } => {
                if !reported {
                    let says = "was brought in by another process; no driver was asked";
                    let reason = format!("{processor} {says}");
                    event(EventKind::Breach, "Q3", Some(processor), Some(reason));
                }
                event(EventKind::Joined, "Q3", Some(processor), None);
            }
            Self::Touched(processor) => {
                let says =
                    "was brought in by another process while the parties were being asked about it";
                let reason = format!("{processor} {says}");
                event(EventKind::Breach, "Q4", Some(processor), Some(reason));
            }
            Self::Waits(id) => {
                let says =
                    "was brought in by another process; it is counted when the current add is over";
                let reason = format!("processor {id} {says}");
                event(EventKind::Breach, "Q3", None, Some(reason));
            }
            Self::Uncountable(id, why) => {
                let why = Error::not_addable(why);
                let reason =
                    format!("processor {id} runs without agreement and cannot be counted: {why}");
                event(EventKind::Breach, "Q3", None, Some(reason));
            }
            Self::Repaired(sentence) => event(EventKind::Breach, "Q3", None, Some(sentence)),
        }
    }
}

impl Inner {
    /// Runs a closure with the current set locked. It may call the hardware, and nothing else.
    pub(crate) fn with_current<R>(&self, what: impl FnOnce(&mut Current) -> R) -> R {
        let result = what(&mut lock(&self.current));
        // Orders releasing the set before reading the flag, see `nudge`.
        fence(Ordering::SeqCst);
        self.look();
        self.published.tell_followers();
        result
    }

    /// Checks, if that was requested and no other thread holds the current set. A thread that holds it checks when it releases
    /// it.
    fn look(&self) {
        // Relaxed: the fences before order it.
        while self.look.load(Ordering::Relaxed) {
            let Some(mut current) = try_lock(&self.current) else { return };
            self.look.store(false, Ordering::Relaxed);
            let (intruded, appeared) = current.look(&*self.hardware, |set, finding| {
                // Under the lock of the set, so that events come in the order of the changes.
                finding.events(set, |event| self.telling.push(event));
            });
            self.following.decided(&intruded);
            for id in self.following.appeared(appeared, current.set(), &*self.hardware) {
                let mut event = Event::new(EventKind::Appeared, current.set().epoch());
                event.id = Some(id);
                self.telling.push(event);
            }
            if current.set().epoch() != self.published.summary().0 {
                self.published.publish(current.set().clone());
            }
            drop(current);
            fence(Ordering::SeqCst);
            self.published.tell_followers();
            self.telling.flush();
        }
    }

    /// Tells the parties which processors vanished (X2). A processor that joined without agreement is told to no party (Q3): only who
    /// was not told is recorded.
    pub(crate) fn settle(&self, state: &mut State) {
        while let Some(untold) = self.with_current(Current::next_untold) {
            match untold {
                Untold::Left(processor) => {
                    let set = self.published.load();
                    let mut transaction = Transaction::vanished(&set, &[processor]);
                    Self::exclude(state, processor);
                    let (mut runner, parties) = self.runner_over(state, Occasion::Change);
                    runner.run(&mut transaction, parties, None);
                    state.unheard.has_left(processor);
                }
                Untold::Came(processor) => {
                    let State { registry, unheard, .. } = &mut *state;
                    let hear = registry.parties().iter().filter(|m| m.shared.hears_removal());
                    hear.for_each(|member| unheard.insert(member.shared.id, processor));
                }
            }
        }
    }

    /// Excludes the parties that were not told that this processor joined: they are not told that it leaves (X4).
    pub(crate) fn exclude(state: &State, processor: Processor) {
        for Member { shared, .. } in state.registry.parties() {
            shared.exclude(state.unheard.contains(shared.id, processor));
        }
    }

    /// Checks and tells the parties, if that was requested and no thread is inside. A thread that is inside does so when it
    /// leaves.
    pub(crate) fn look_if_asked(&self) {
        // Relaxed: the fences before order it.
        while self.look_again.load(Ordering::Relaxed) {
            let Some(mut state) = self.gate.try_enter() else { return };
            // Inside the gate, so that a request from now on causes another check.
            self.look_again.store(false, Ordering::Relaxed);
            // Also if a check ran during the transaction: intruders that waited for its end join now.
            self.look.store(true, Ordering::Relaxed);
            self.look();
            self.settle(&mut state);
            self.leave_once(state);
            fence(Ordering::SeqCst);
        }
    }
}

impl Nudged for Inner {
    /// There are two locks, that of the gate and that of the current set, and a flag for each. This thread writes the flags
    /// and then tries the locks. A thread that holds one of the locks releases it and then reads its flag. With a fence
    /// between the two steps of each thread, one of the two sees what the other wrote: either this thread gets the lock, or
    /// the other one does the work.
    ///
    /// This never waits for a lock: the hardware may call it from inside the partition.
    fn nudge(&self) {
        self.look_again.store(true, Ordering::Relaxed);
        self.look.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.look_if_asked();
        loop {
            // A thread is inside, and may wait for a party. The set and the observers do not wait for it (Q4).
            self.look();
            // If another thread holds the set, it is inside the gate, and tells the parties when it leaves, or it runs this loop
            // and continues below.
            let Some(current) = try_lock(&self.current) else { return };
            let untold = current.has_untold();
            drop(current);
            fence(Ordering::SeqCst);
            if self.look.load(Ordering::Relaxed) {
                continue;
            }
            if untold {
                // The thread that was inside may have left before this check.
                self.look_again.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                self.look_if_asked();
            }
            return;
        }
    }
}
