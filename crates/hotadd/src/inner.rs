//! [`Inner`]: what all handles of a partition share, and the requests that it serves one at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use hotadd_core::{ActiveSet, Driver, Epoch, HardwareId, PartyId, Registry, Transaction};

use crate::error::{Action, Error};
use crate::event::{EventKind, Occasion};
use crate::follow::Following;
use crate::gate::{Gate, Guard};
use crate::hardware::{Hardware, Nudged};
use crate::member::{Member, PartyInfo, Place, Shared};
use crate::observers::{Ended, Observer, Observers};
use crate::outcome::{Answer, Change, Rehearsal};
use crate::published::Published;
use crate::runner::{Runner, panic_message};
use crate::sync::{AtomicBool, Ordering, fence};

/// How many drivers one partition takes (R7).
const MAX_PARTIES: usize = 65_536;

pub(crate) struct Inner {
    gate: Gate<State>,
    pub(crate) published: Published,
    pub(crate) hardware: Arc<dyn Hardware>,
    pub(crate) following: Following,
    /// Somebody departed since the gate was last left.
    departures: AtomicBool,
    /// A nudge came from inside a callback; look when the transaction is over.
    look_again: AtomicBool,
}

/// What only the thread inside the gate touches.
pub(crate) struct State {
    pub(crate) set: ActiveSet,
    pub(crate) registry: Registry<Member>,
    pub(crate) observers: Observers,
    next_id: u64,
}

impl Inner {
    pub(crate) fn new(set: ActiveSet, hardware: Arc<dyn Hardware>) -> Self {
        let state = State {
            set: set.clone(),
            registry: Registry::new(MAX_PARTIES),
            observers: Observers::default(),
            next_id: 1,
        };
        Self {
            gate: Gate::new(state),
            published: Published::new(set),
            hardware,
            following: Following::new(),
            departures: AtomicBool::new(false),
            look_again: AtomicBool::new(false),
        }
    }

    pub(crate) fn observe(
        &self,
        present: impl FnOnce(&[PartyInfo]),
        observer: Observer,
    ) -> Result<Ended, Error> {
        let mut state = self.enter("observing")?;
        let parties: Vec<_> = state.registry.parties().iter().map(|m| m.shared.info()).collect();
        present(&parties);
        let ended = state.observers.take_ended();
        let pushed = state.observers.push(observer);
        self.leave(state);
        // Outside the gate, as with drivers.
        drop(ended);
        Ok(pushed)
    }

    /// Drops the observers that have ended, and says how many there are besides.
    pub(crate) fn observers(&self) -> Result<usize, Error> {
        let mut state = self.enter("observing")?;
        let ended = state.observers.take_ended();
        let left = state.observers.len();
        self.leave(state);
        drop(ended);
        Ok(left)
    }

    pub(crate) fn register(
        &self,
        name: &str,
        place: Place,
        replay: bool,
        make: impl FnOnce(PartyId) -> Box<dyn Driver + Send>,
    ) -> Result<(Arc<Shared>, Epoch), Error> {
        PartyInfo::check_name(name)?;
        let mut state = self.enter("registering")?;
        let limit = state.registry.limit();
        state.registry.admits().map_err(|_| Error::TooManyParties(limit))?;
        let id = PartyId(state.next_id);
        state.next_id += 1;
        let began = Instant::now();
        let mut driver = make(id);
        let hears_removal = catch_unwind(AssertUnwindSafe(|| driver.removal().is_some()));
        let crashed = hears_removal.is_err();
        let hears_removal = hears_removal.map_err(std::mem::forget).unwrap_or(false);
        let mut member = Member::new(id, place, name, hears_removal, driver);
        let told = if crashed {
            Err(Error::Crashed(member.shared.info()))
        } else if replay {
            self.replay(&mut state, &mut member)
        } else {
            Ok(())
        };
        if let Err(error) = told {
            self.runner(&mut state, Occasion::Replay).refused(EventKind::Refused, &error, began);
            self.leave(state);
            self.bury([member]);
            return Err(error);
        }
        let shared = Arc::clone(&member.shared);
        state.registry.insert(member);
        self.runner(&mut state, Occasion::Change).party(EventKind::Registered, shared.info());
        let epoch = state.set.epoch();
        self.leave(state);
        Ok((shared, epoch))
    }

    /// Tells a driver that is about to register of every active processor (R3, R4).
    fn replay(&self, state: &mut State, member: &mut Member) -> Result<(), Error> {
        let mut transaction = Transaction::replay(&state.set);
        let mut runner = self.runner(state, Occasion::Replay);
        runner.run(&mut transaction, std::slice::from_mut(member), None);
        if let Some(error) =
            Runner::refusal(&transaction, std::slice::from_ref(member), Action::Add)
        {
            return Err(error.while_registering());
        }
        // It may also crash when it is told that all is well (L3).
        if member.shared.departed() { Err(Error::Crashed(member.shared.info())) } else { Ok(()) }
    }

    /// Waits for the transaction under way, unless it is this thread's own (D1, D3).
    pub(crate) fn deregister(&self, shared: &Shared) -> Result<(), Error> {
        let gone = || Err(Error::NotRegistered(shared.info()));
        let Ok(mut state) = self.gate.enter() else {
            // Inside a callback: nobody calls it from here on, and the transaction under way takes it out when it ends.
            // Relaxed: whoever leaves the gate next is this thread.
            self.departures.store(true, Ordering::Relaxed);
            return if shared.depart() { gone() } else { Ok(()) };
        };
        let Ok(member) = state.registry.remove(shared.level, shared.at_once, shared.id) else {
            return gone();
        };
        shared.depart();
        self.runner(&mut state, Occasion::Change).party(EventKind::Deregistered, shared.info());
        self.leave(state);
        self.bury([member]);
        Ok(())
    }

    pub(crate) fn add(&self, id: HardwareId) -> Result<Change, Error> {
        let [(_, result)] = <[_; 1]>::try_from(self.add_atomic(&[id]))
            .unwrap_or_else(|_| unreachable!("one processor has one result"));
        result
    }

    pub(crate) fn add_atomic(
        &self,
        ids: &[HardwareId],
    ) -> Vec<(HardwareId, Result<Change, Error>)> {
        let all = |error: &Error| ids.iter().map(|id| (*id, Err(error.clone()))).collect();
        let began = Instant::now();
        let mut state = match self.enter("adding") {
            Ok(state) => state,
            Err(error) => return all(&error),
        };
        let admitted = self
            .admit(ids)
            .and_then(|()| Transaction::add(&state.set, ids).map_err(Error::not_addable));
        let mut transaction = match admitted {
            Ok(transaction) => transaction,
            Err(error) => {
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.refused(EventKind::Refused, &error, began);
                self.leave(state);
                return all(&error);
            }
        };
        self.following.decided(ids);
        let (mut runner, parties) = self.runner_over(&mut state, Occasion::Change);
        runner.run(&mut transaction, parties, None);
        let refusal = Runner::refusal(&transaction, parties, Action::Add);
        let stuck = transaction.stuck().map(|(processor, error)| Error::Stuck { processor, error });
        let joined = transaction.changed();
        for &processor in joined {
            runner.changed(EventKind::Joined, processor, began);
        }
        if let Some(stuck) = &stuck {
            runner.breach("A9", None, None, stuck.to_string());
        }
        let mut results = Vec::with_capacity(ids.len());
        for processor in transaction.processors() {
            let result = match (&stuck, &refusal) {
                (Some(stuck), _) if joined.contains(processor) => Err(stuck.clone()),
                (_, Some(error)) => {
                    runner.refused_processor(EventKind::Refused, *processor, error, began);
                    Err(error.clone())
                }
                (_, None) => Ok(Change { processor: *processor, epoch: transaction.set().epoch() }),
            };
            results.push((processor.id, result));
        }
        self.leave(state);
        results
    }

    pub(crate) fn rehearse(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        let mut state = self.enter("rehearsing")?;
        let admitted = self
            .admit(&[id])
            .and_then(|()| Transaction::rehearse(&state.set, id).map_err(Error::not_addable));
        let mut transaction = match admitted {
            Ok(transaction) => transaction,
            Err(error) => {
                self.leave(state);
                return Err(error);
            }
        };
        let (mut runner, parties) = self.runner_over(&mut state, Occasion::Rehearsal);
        let mut asked = Vec::new();
        runner.run(&mut transaction, parties, Some(&mut asked));
        let answers = asked.into_iter().map(|(party, answer, took)| Answer { party, answer, took });
        let rehearsal =
            Rehearsal { processor: transaction.processors()[0], answers: answers.collect() };
        self.leave(state);
        Ok(rehearsal)
    }

    pub(crate) fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        let began = Instant::now();
        let mut state = self.enter("removing")?;
        let mut transaction = match Transaction::remove(&state.set, id) {
            Ok(transaction) => transaction,
            Err(why) => {
                let error = Error::not_removable(why);
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.refused(EventKind::RemoveRefused, &error, began);
                self.leave(state);
                return Err(error);
            }
        };
        let (mut runner, parties) = self.runner_over(&mut state, Occasion::Change);
        runner.run(&mut transaction, parties, None);
        let processor = transaction.processors()[0];
        let result = match Runner::refusal(&transaction, parties, Action::Remove) {
            None => {
                runner.changed(EventKind::Left, processor, began);
                Ok(Change { processor, epoch: transaction.set().epoch() })
            }
            Some(error) => {
                runner.refused_processor(EventKind::RemoveRefused, processor, &error, began);
                Err(error)
            }
        };
        self.leave(state);
        result
    }

    /// Looks at what really runs and reports the difference (X2, Q3).
    fn survey(&self, state: &mut State) {
        let expected: Vec<HardwareId> = state.set.iter().map(|p| p.id).collect();
        let survey = self.hardware.survey(&expected);
        if !survey.vanished.is_empty() {
            let mut transaction = Transaction::vanished(&state.set, &survey.vanished);
            let (mut runner, parties) = self.runner_over(state, Occasion::Change);
            runner.run(&mut transaction, parties, None);
            for &processor in transaction.processors() {
                runner.vanished(processor);
            }
        }
        self.following.decided(&survey.intruded);
        for id in survey.intruded {
            let (mut runner, parties) = self.runner_over(state, Occasion::Change);
            match Transaction::intruded(runner.set, id) {
                Ok(mut transaction) => {
                    runner.run(&mut transaction, parties, None);
                    runner.intruded(transaction.processors()[0]);
                }
                Err(why) => {
                    let why = Error::not_addable(why);
                    let reason = format!(
                        "processor {id} runs without agreement, and cannot be counted: {why}"
                    );
                    runner.breach("Q3", None, None, reason);
                }
            }
        }
        // What somebody did comes before the request that it is taken for (H3).
        for sentence in survey.repaired {
            self.runner(state, Occasion::Change).breach("Q3", None, None, sentence);
        }
        for id in self.following.appeared(survey.appeared, &state.set, &*self.hardware) {
            self.runner(state, Occasion::Change).appeared(id);
        }
    }

    fn admit(&self, ids: &[HardwareId]) -> Result<(), Error> {
        ids.iter().try_for_each(|&id| {
            self.hardware.admits(id).map_err(|why| Error::not_admitted(id, why))
        })
    }

    fn enter(&self, what: &'static str) -> Result<Guard<'_, State>, Error> {
        self.gate.enter().map_err(|_| Error::InsideCallback(what))
    }

    /// Ends a transaction: takes out who departed meanwhile, opens the gate, and does what had to wait for that.
    fn leave(&self, mut state: Guard<'_, State>) {
        let mut departed = Vec::new();
        // Relaxed: set only by this thread, inside the gate. Again and again, because an observer that hears of one
        // departure may deregister the next.
        while self.departures.swap(false, Ordering::Relaxed) {
            let swept = state.registry.sweep();
            for member in &swept {
                let info = member.shared.info();
                self.runner(&mut state, Occasion::Change).party(EventKind::Deregistered, info);
            }
            departed.extend(swept);
        }
        drop(state);
        self.bury(departed);
        // Orders leaving the gate before reading the flag, see `nudge_soon`.
        fence(Ordering::SeqCst);
        self.look_if_asked();
    }

    /// Looks if that was asked for, and nobody is inside: who is looks when it leaves.
    fn look_if_asked(&self) {
        // Relaxed: the fences before order it.
        if self.look_again.load(Ordering::Relaxed)
            && let Some(mut state) = self.gate.try_enter()
        {
            // Inside, so that what is asked for from now on is looked for once more.
            self.look_again.store(false, Ordering::Relaxed);
            self.survey(&mut state);
            self.leave(state);
        }
    }

    /// Drops drivers that are registered no longer. Outside the gate: a driver's own drop may well deregister others. One
    /// that panics there has crashed like any other: it takes nobody with it, and is reported (L3).
    fn bury(&self, members: impl IntoIterator<Item = Member>) {
        for Member { driver, shared } in members {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(driver))) else { continue };
            let reason = format!("it panicked while it was dropped: {}", panic_message(&*panic));
            std::mem::forget(panic);
            if let Ok(mut state) = self.gate.enter() {
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.breach("L3", None, Some(shared.info()), reason);
                self.leave(state);
            }
        }
    }

    fn runner<'a>(&'a self, state: &'a mut State, occasion: Occasion) -> Runner<'a> {
        self.runner_over(state, occasion).0
    }

    fn runner_over<'a>(
        &'a self,
        state: &'a mut State,
        occasion: Occasion,
    ) -> (Runner<'a>, &'a mut [Member]) {
        let State { set, registry, observers, .. } = state;
        let runner = Runner {
            published: &self.published,
            hardware: &*self.hardware,
            set,
            observers,
            together: registry.has_at_once(),
            departures: &self.departures,
            occasion,
        };
        (runner, registry.parties_mut())
    }
}

impl Nudged for Inner {
    fn nudge(&self) {
        match self.gate.enter() {
            Ok(mut state) => {
                self.survey(&mut state);
                self.leave(state);
            }
            Err(_) => self.look_again.store(true, Ordering::Relaxed),
        }
    }

    /// Two threads, two words. This one writes the flag and then tries the gate; whoever is inside leaves the gate and then reads
    /// the flag. With a fence between the two steps of each, one of the two sees what the other wrote: either this thread gets in,
    /// or the other one looks.
    fn nudge_soon(&self) {
        self.look_again.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.look_if_asked();
    }
}
