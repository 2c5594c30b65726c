//! [`Inner`]: the state that all handles of a partition share, and the requests, which it serves one at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hotadd_core::{ActiveSet, Driver, Epoch, HardwareId, PartyId, Registry, Transaction, Veto};

use crate::current::Current;
use crate::error::{Action, Error};
use crate::event::{EventKind, Occasion};
use crate::follow::{Follow, Following};
use crate::gate::{Gate, Guard};
use crate::hardware::{Hardware, Nudged};
use crate::member::{Gone, Member, PartyInfo, Place, Shared};
use crate::observers::{Ended, Observer, Observers};
use crate::outcome::{Answer, Change, Rehearsal};
use crate::published::Published;
use crate::required::{AllRequired, Required};
use crate::runner::{Runner, panic_message};
use crate::sync::{AtomicBool, Mutex, Ordering, fence};
use crate::telling::Telling;
use crate::unheard::Unheard;

/// The maximum number of drivers of one partition (R7).
const MAX_PARTIES: usize = 65_536;

pub(crate) struct Inner {
    pub(crate) gate: Gate<State>,
    pub(crate) current: Mutex<Current>,
    pub(crate) published: Arc<Published>,
    pub(crate) telling: Telling,
    pub(crate) required: AllRequired,
    pub(crate) hardware: Arc<dyn Hardware>,
    pub(crate) following: Following,
    /// A party has departed since the gate was last left.
    pub(crate) departures: AtomicBool,
    /// The thread that leaves the gate must check the hardware, and tell the parties about changes made without them.
    pub(crate) look_again: AtomicBool,
    /// The thread that releases the current set must check the hardware.
    pub(crate) look: AtomicBool,
}

/// The state that only the thread inside the gate touches.
pub(crate) struct State {
    pub(crate) registry: Registry<Member>,
    pub(crate) unheard: Unheard,
    next_id: u64,
}

impl Inner {
    pub(crate) fn new(set: ActiveSet, hardware: Arc<dyn Hardware>) -> Self {
        let registry = Registry::new(MAX_PARTIES);
        let state = State { registry, unheard: Unheard::default(), next_id: 1 };
        Self {
            gate: Gate::new(state),
            current: Mutex::new(Current::new(set.clone())),
            telling: Telling::default(),
            required: AllRequired::default(),
            published: Arc::new(Published::new(set)),
            hardware,
            following: Following::new(),
            departures: AtomicBool::new(false),
            look_again: AtomicBool::new(false),
            look: AtomicBool::new(false),
        }
    }

    /// Sets the policy for processors that appear.
    pub(crate) fn follow(self: &Arc<Self>, policy: Follow) -> Result<(), Error> {
        if self.following.set(policy, Arc::downgrade(self) as _)? {
            // The next check of the hardware reports the processors that waited. It comes now, or after the transaction if this
            // is a callback.
            self.nudge();
        }
        Ok(())
    }

    pub(crate) fn observe(
        &self,
        present: impl FnOnce(&[PartyInfo]),
        observer: Observer,
    ) -> Result<Ended, Error> {
        let state = self.enter("observing")?;
        let parties: Vec<_> = state.registry.parties().iter().map(|m| m.shared.info()).collect();
        present(&parties);
        let changed =
            self.observers_change(|observers| (observers.take_ended(), observers.push(observer)));
        self.leave(state);
        // Ended observers are dropped outside of the gate, like drivers.
        changed.map(|(_, pushed)| pushed)
    }

    /// Drops the ended observers, and returns the number of the others.
    pub(crate) fn observers(&self) -> Result<usize, Error> {
        let state = self.enter("observing")?;
        let changed = self.observers_change(|observers| (observers.take_ended(), observers.len()));
        self.leave(state);
        changed.map(|(_, left)| left)
    }

    fn observers_change<R>(&self, what: impl FnOnce(&mut Observers) -> R) -> Result<R, Error> {
        self.telling.change(what).map_err(|_| Error::InsideCallback("observing"))
    }

    pub(crate) fn register(
        &self,
        name: &str,
        place: Place,
        replay: bool,
        required: Option<std::sync::Weak<Required>>,
        gone: Gone<'_>,
        make: impl FnOnce(PartyId) -> Box<dyn Driver + Send>,
    ) -> Result<(Arc<Shared>, Epoch), Error> {
        PartyInfo::check_name(name)?;
        let mut state = self.enter("registering")?;
        let limit = state.registry.limit();
        state.registry.admits().map_err(|_| Error::TooManyParties(limit))?;
        let id = PartyId(state.next_id);
        state.next_id += 1;
        // Only observers are told how long it took, and reading the clock takes a tenth of a registration's time.
        let began = self.telling.is_observed().then(Instant::now);
        let mut driver = make(id);
        let hears_removal = catch_unwind(AssertUnwindSafe(|| driver.removal().is_some()));
        let crashed = hears_removal.is_err();
        let hears_removal = hears_removal.map_err(std::mem::forget).unwrap_or(false);
        let mut member = Member::new(id, place, name, hears_removal, driver);
        if let Some(required) = required {
            self.required.stands_for(id, required);
        }
        let told = if crashed {
            Err(Error::Crashed(member.shared.info()))
        } else if replay {
            self.replay(&mut state, &mut member)
        } else {
            Ok(())
        };
        // Relaxed: a driver whose process ends later than this is registered, and then counts as crashed.
        let is_gone = gone.is_some_and(|gone| gone.load(Ordering::Relaxed));
        let told = match told {
            Ok(()) if is_gone => Err(Error::Crashed(member.shared.info())),
            told => told,
        };
        if let Err(error) = told {
            self.required.forget(id);
            let began = began.unwrap_or_else(Instant::now);
            self.runner(&mut state, Occasion::Replay).refused(EventKind::Refused, &error, began);
            self.leave(state);
            self.drop_members([member]);
            return Err(error);
        }
        let shared = Arc::clone(&member.shared);
        if !replay && hears_removal {
            for processor in self.with_current(|current| current.unheard()) {
                state.unheard.insert(id, processor);
            }
        }
        state.registry.insert(member);
        self.runner(&mut state, Occasion::Change).party(EventKind::Registered, &shared);
        let epoch = self.published.summary().0;
        self.leave(state);
        Ok((shared, epoch))
    }

    /// Tells a driver that is about to register of every active processor (R3, R4).
    fn replay(&self, state: &mut State, member: &mut Member) -> Result<(), Error> {
        let mut transaction = self.begin(state, |current| Transaction::replay(current.set()));
        let mut runner = self.runner(state, Occasion::Replay);
        runner.run(&mut transaction, std::slice::from_mut(member), None);
        let refusal = runner.refusal(&transaction, std::slice::from_ref(member), Action::Add);
        if let Some(error) = refusal {
            return Err(error.while_registering());
        }
        // The driver may also crash in AddComplete (L3).
        if member.shared.departed() { Err(Error::Crashed(member.shared.info())) } else { Ok(()) }
    }

    /// Waits for the transaction in progress, unless this thread runs it (D1, D3).
    pub(crate) fn deregister(&self, shared: &Shared) -> Result<(), Error> {
        let gone = || Err(Error::NotRegistered(shared.info()));
        let Ok(mut state) = self.enter("deregistering") else {
            // Inside a callback: the driver is not called from now on, and the transaction in progress takes it out when it ends.
            let departed = shared.depart();
            // Relaxed: as `Shared::departed` says.
            self.departures.store(true, Ordering::Relaxed);
            if !self.gate.is_inside() {
                // An observer on a thread that checks the hardware, while another thread may be calling the party (D1).
                self.telling.wait_for(shared.id);
                self.look_again.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
            }
            return if departed { gone() } else { Ok(()) };
        };
        let Ok(member) = state.registry.remove(shared.level, shared.at_once, shared.id) else {
            return gone();
        };
        shared.depart();
        self.forget(&mut state, shared.id);
        self.runner(&mut state, Occasion::Change).party(EventKind::Deregistered, shared);
        self.leave(state);
        self.drop_members([member]);
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
        // Before the processors are checked: a switch by another process is noticed from now on (Q4).
        let monitor = self.hardware.monitor(ids);
        let admitted = self.admit(ids).and_then(|()| {
            self.begin_asking(&mut state, |set| {
                let transaction = Transaction::add(set, ids).map_err(Error::not_addable)?;
                self.all_there(ids).map(|()| transaction)
            })
        });
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
        runner.monitor = monitor;
        runner.run(&mut transaction, parties, None);
        let refusal = runner.refusal(&transaction, parties, Action::Add);
        self.end_asking();
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
        let begun = self.admit(&[id]).and_then(|()| {
            self.begin_asking(&mut state, |set| {
                Transaction::rehearse(set, id).map_err(Error::not_addable)
            })
        });
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(error) => {
                self.leave(state);
                return Err(error);
            }
        };
        let answers = self.ask_in_rehearsal(&mut state, &mut transaction);
        self.end_asking();
        let missing = self.required.missing().into_iter().map(|missing| Answer {
            answer: Err(Veto::new(missing.status, format!("it is missing: {}", missing.reason))),
            party: missing.party,
            took: Duration::ZERO,
        });
        let answers = missing.chain(answers).collect();
        let rehearsal = Rehearsal { processor: transaction.processors()[0], answers };
        self.leave(state);
        Ok(rehearsal)
    }

    pub(crate) fn rehearse_removal(&self, id: HardwareId) -> Result<Rehearsal, Error> {
        let mut state = self.enter("rehearsing")?;
        let begun =
            self.begin(&mut state, |current| Transaction::rehearse_removal(current.set(), id));
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(why) => {
                self.leave(state);
                return Err(Error::not_removable(why));
            }
        };
        let processor = transaction.processors()[0];
        Self::exclude(&state, processor);
        // A missing party refuses no removal (L4).
        let answers = self.ask_in_rehearsal(&mut state, &mut transaction);
        self.leave(state);
        Ok(Rehearsal { processor, answers })
    }

    /// Asks the parties, and tells those that agreed that nothing was changed.
    fn ask_in_rehearsal(&self, state: &mut State, transaction: &mut Transaction) -> Vec<Answer> {
        let (mut runner, parties) = self.runner_over(state, Occasion::Rehearsal);
        let mut asked = Vec::new();
        runner.run(transaction, parties, Some(&mut asked));
        asked.into_iter().map(|(party, answer, took)| Answer { party, answer, took }).collect()
    }

    pub(crate) fn remove(&self, id: HardwareId) -> Result<Change, Error> {
        let began = Instant::now();
        let mut state = self.enter("removing")?;
        let begun = self.begin(&mut state, |current| Transaction::remove(current.set(), id));
        let mut transaction = match begun {
            Ok(transaction) => transaction,
            Err(why) => {
                let error = Error::not_removable(why);
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.refused(EventKind::RemoveRefused, &error, began);
                self.leave(state);
                return Err(error);
            }
        };
        Self::exclude(&state, transaction.processors()[0]);
        let (mut runner, parties) = self.runner_over(&mut state, Occasion::Change);
        runner.run(&mut transaction, parties, None);
        let processor = transaction.processors()[0];
        let refusal = runner.refusal(&transaction, parties, Action::Remove);
        let vanished = self.with_current(Current::take_preceded);
        if refusal.is_none() {
            state.unheard.has_left(processor);
        }
        let mut runner = self.runner(&mut state, Occasion::Change);
        let result = match refusal {
            None => {
                // If it vanished meanwhile, it has already been reported as left (X2).
                if !vanished {
                    runner.changed(EventKind::Left, processor, began);
                }
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

    /// Makes a transaction, once the parties have been told of every change that was made without them. They are told of later
    /// changes when the transaction is over (X4).
    fn begin<T>(&self, state: &mut State, make: impl Fn(&mut Current) -> T) -> T {
        loop {
            let begun = self.with_current(|current| (!current.has_untold()).then(|| make(current)));
            match begun {
                Some(begun) => return begun,
                None => self.settle(state),
            }
        }
    }

    /// Like `begin`, for a transaction that asks. If it returns one, [`end_asking`](Self::end_asking) must follow.
    fn begin_asking(
        &self,
        state: &mut State,
        make: impl Fn(&ActiveSet) -> Result<Transaction, Error>,
    ) -> Result<Transaction, Error> {
        self.begin(state, |current| {
            let transaction = make(current.set())?;
            current.ask(&transaction);
            Ok(transaction)
        })
    }

    /// Ends the asking. If another process switched one of the processors, it is checked when this thread leaves the gate.
    fn end_asking(&self) {
        if self.with_current(Current::asked) {
            // Relaxed: read by this same thread.
            self.look_again.store(true, Ordering::Relaxed);
        }
    }

    /// Checks that no required party is missing (L4).
    fn all_there(&self, ids: &[HardwareId]) -> Result<(), Error> {
        match (self.required.missing().into_iter().next(), ids) {
            (Some(missing), [id, ..]) => Err(Error::Missing { id: *id, missing }),
            _ => Ok(()),
        }
    }

    fn admit(&self, ids: &[HardwareId]) -> Result<(), Error> {
        ids.iter().try_for_each(|&id| {
            self.hardware.admits(id).map_err(|why| Error::not_admitted(id, why))
        })
    }

    /// Whether the calling thread is inside a callback.
    pub(crate) fn is_inside(&self) -> bool {
        self.gate.is_inside() || self.telling.is_inside()
    }

    fn enter(&self, what: &'static str) -> Result<Guard<'_, State>, Error> {
        // A thread that checks the hardware may call an observer outside of the gate. The thread inside the gate waits for it
        // to return.
        if self.telling.is_inside() {
            return Err(Error::InsideCallback(what));
        }
        self.gate.enter().map_err(|_| Error::InsideCallback(what))
    }

    /// Ends a transaction: does the deferred work, opens the gate, and checks the hardware if that was requested meanwhile.
    fn leave(&self, state: Guard<'_, State>) {
        self.leave_once(state);
        // Orders leaving the gate before reading the flag, see `nudge`.
        fence(Ordering::SeqCst);
        self.look_if_asked();
    }

    /// Tells the parties which processors vanished (X2), takes out the parties that departed meanwhile, and opens the gate.
    pub(crate) fn leave_once(&self, mut state: Guard<'_, State>) {
        let mut departed = Vec::new();
        self.settle(&mut state);
        // Relaxed: as `Shared::departed` says. Repeated, because an observer that is told of one departure may deregister another
        // party.
        while self.departures.swap(false, Ordering::Relaxed) {
            let swept = state.registry.sweep();
            for member in &swept {
                self.forget(&mut state, member.shared.id);
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.party(EventKind::Deregistered, &member.shared);
            }
            departed.extend(swept);
            self.settle(&mut state);
        }
        drop(state);
        self.drop_members(departed);
    }

    /// Forgets a party that is no longer registered.
    fn forget(&self, state: &mut State, party: PartyId) {
        state.unheard.forget(party);
        self.required.forget(party);
    }

    /// Drops drivers that are no longer registered. Called outside of the gate, because a driver's drop may deregister others. A
    /// drop that panics is a crash like any other: it does not harm other drivers, and is reported (L3).
    fn drop_members(&self, members: impl IntoIterator<Item = Member>) {
        for Member { driver, shared } in members {
            let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(driver))) else { continue };
            let reason = format!("it panicked while it was dropped: {}", panic_message(&*panic));
            std::mem::forget(panic);
            if let Ok(mut state) = self.enter("reporting") {
                let mut runner = self.runner(&mut state, Occasion::Change);
                runner.breach("L3", None, Some(shared.info()), reason);
                self.leave(state);
            }
        }
    }

    fn runner<'a>(&'a self, state: &'a mut State, occasion: Occasion) -> Runner<'a> {
        self.runner_over(state, occasion).0
    }

    pub(crate) fn runner_over<'a>(
        &'a self,
        state: &'a mut State,
        occasion: Occasion,
    ) -> (Runner<'a>, &'a mut [Member]) {
        let registry = &mut state.registry;
        let runner = Runner::new(self, registry.has_at_once(), occasion);
        (runner, registry.parties_mut())
    }
}
