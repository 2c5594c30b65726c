//! The table on the bare rules of `hotadd-core`: a registry of scripts and a platform that fails on demand, on one thread.
//!
//! The rules know nothing of events, and refuse nothing that comes from inside a call: these are the library's. What a processor does
//! by itself while parties are called is the library's, too.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use hotadd_conformance::{
    Command, Effects, Fault, Journal, Need, Refusal, Scenario, Script, Subject, run,
};
use hotadd_core::{
    ActiveSet, Errno, HardwareId, Level, NotAddable, Party, PartyId, PlatformError, Processor,
    Registry, Status, Step, Transaction, Veto,
};

#[test]
fn the_table_holds_on_the_rules_alone() {
    let report = run("rules", |scenario| {
        let all = scenario.active + scenario.spare;
        Some((Box::new(Rules::new(scenario)), (0..all).map(HardwareId).collect()))
    });
    report.check();
}

/// A party as the registry knows it.
#[derive(Clone)]
struct Member {
    id: PartyId,
    script: Script,
    departed: Rc<Cell<bool>>,
    /// The active processors that it was not told of (X4).
    unheard: Rc<RefCell<BTreeSet<Processor>>>,
}

impl Party for Member {
    fn id(&self) -> PartyId {
        self.id
    }
    fn level(&self) -> Level {
        Level(self.script.party.level)
    }
    fn departed(&self) -> bool {
        self.departed.get()
    }
    fn hears_removal(&self) -> bool {
        self.script.party.removal
    }
    fn heard_of(&self, processor: Processor) -> bool {
        !self.unheard.borrow().contains(&processor)
    }
}

struct Rules {
    registry: Registry<Member>,
    set: ActiveSet,
    all: Vec<HardwareId>,
    fails: BTreeSet<(HardwareId, bool)>,
    next: u64,
}

/// What a call may do: the rules read only the flags of departure.
struct Inside {
    set: ActiveSet,
    departs: Mutex<Vec<String>>,
}

impl Effects for Inside {
    fn deregister(&self, name: &str) {
        self.departs.lock().expect("no holder panics").push(name.to_owned());
    }
    fn request(&self, command: &Command) -> Result<(), Refusal> {
        unreachable!("not offered: {command:?}")
    }
    fn fault(&self, fault: Fault) {
        unreachable!("not offered: {fault:?}")
    }
    fn active(&self) -> ActiveSet {
        self.set.clone()
    }
}

impl Rules {
    fn new(scenario: &Scenario) -> Self {
        let all: Vec<_> = (0..scenario.active + scenario.spare).map(HardwareId).collect();
        let set = ActiveSet::first(&all[..scenario.active as usize], 8).expect("few enough");
        Self { registry: Registry::new(16), set, all, fails: BTreeSet::new(), next: 1 }
    }

    fn run(&mut self, transaction: Transaction) -> Transaction {
        let mut parties = self.registry.parties().to_vec();
        let done = self.run_over(transaction, &mut parties);
        self.registry.sweep();
        done
    }

    fn run_over(&mut self, mut transaction: Transaction, parties: &mut [Member]) -> Transaction {
        loop {
            match transaction.step() {
                Step::Publish => self.set = transaction.publish(&self.set),
                Step::Call(_) => self.call(&mut transaction, parties),
                Step::Start(p) => transaction.acted(self.act(p.id, true)),
                Step::Stop(p) => transaction.acted(self.act(p.id, false)),
                Step::Done => return transaction,
            }
        }
    }

    fn act(&self, id: HardwareId, start: bool) -> Result<(), PlatformError> {
        let errno = if start { Errno::EIO } else { Errno::EBUSY };
        if self.fails.contains(&(id, start)) { Err(errno.into()) } else { Ok(()) }
    }

    fn call(&self, transaction: &mut Transaction, parties: &mut [Member]) {
        let all = parties.to_vec();
        let inside = Arc::new(Inside { set: self.set.clone(), departs: Mutex::default() });
        loop {
            let pass = catch_unwind(AssertUnwindSafe(|| {
                let departures = || all.iter().any(Party::departed);
                transaction.call(parties, departures, |member, notice| {
                    // Before the call: it is known of only if it is called.
                    let mut unheard = member.unheard.borrow_mut();
                    unheard.remove(&notice.processor());
                    drop(unheard);
                    let answer = member.script.hear(notice, &*inside);
                    self.depart(&all, &inside);
                    answer
                });
            }));
            if pass.is_ok() {
                return;
            }
            let veto = Veto::new(Status::DRIVER_INTERNAL_ERROR, "it crashed");
            let position = transaction.crashed(parties.len(), veto).expect("a party was called");
            parties[position].departed.set(true);
        }
    }

    /// Parties deregistered from inside a call depart, those of this transaction and all others.
    fn depart(&self, all: &[Member], inside: &Inside) {
        for name in inside.departs.lock().expect("no holder panics").drain(..) {
            let known = all.iter().chain(self.registry.parties());
            known
                .filter(|member| member.script.party.name == name)
                .for_each(|member| member.departed.set(true));
        }
    }

    fn refusal(
        &self,
        done: &Transaction,
        clauses: [&'static str; 2],
        parties: &[Member],
    ) -> Refusal {
        if let Some(refusal) = done.refusals().first() {
            let by = parties[refusal.position].script.party.name.clone();
            return Refusal { by, status: refusal.veto.status(), clause: clauses[0] };
        }
        let (_, error) = done.platform_error().expect("a party or the platform refused");
        Refusal { by: "partition".to_owned(), status: error.status, clause: clauses[1] }
    }

    fn admitted(&self, ids: &[HardwareId]) -> Result<Transaction, Refusal> {
        let by = || "partition".to_owned();
        if let Some(active) = ids.iter().find(|id| self.set.active(**id).is_some()) {
            assert_eq!(
                Transaction::add(&self.set, ids).unwrap_err(),
                NotAddable::AlreadyActive(*active)
            );
            return Err(Refusal {
                by: by(),
                status: Status::DEVICE_ALREADY_ATTACHED,
                clause: "A8",
            });
        }
        // What the platform has is the platform's to say; the rules take any id.
        if ids.iter().any(|id| !self.all.contains(id)) {
            return Err(Refusal { by: by(), status: Status::NO_SUCH_DEVICE, clause: "A8" });
        }
        let refused = |_| Refusal { by: by(), status: Status::INVALID_PARAMETER, clause: "A8" };
        Transaction::add(&self.set, ids).map_err(refused)
    }

    fn add_one(&mut self, ids: &[HardwareId]) -> Vec<Result<(), Refusal>> {
        let transaction = match self.admitted(ids) {
            Ok(transaction) => transaction,
            Err(why) => return ids.iter().map(|_| Err(why.clone())).collect(),
        };
        let parties = self.registry.parties().to_vec();
        let done = self.run(transaction);
        let result = |_| {
            if done.is_agreed() { Ok(()) } else { Err(self.refusal(&done, ["A3", "A4"], &parties)) }
        };
        ids.iter().map(result).collect()
    }

    /// A processor joined or left without a transaction: who was not told of it hears of no end (X4).
    fn unheard(&self, processor: Processor) {
        for member in self.registry.parties() {
            member.unheard.borrow_mut().insert(processor);
        }
    }
}

impl Subject for Rules {
    fn offers(&self, need: Need) -> bool {
        matches!(need, Need::Processors(_) | Need::Failures | Need::Surprises)
    }

    fn register(&mut self, script: Script, replay: bool) -> Result<(), Refusal> {
        let id = PartyId(self.next);
        self.next += 1;
        let unheard = if replay { BTreeSet::new() } else { self.set.iter().collect() };
        let member =
            Member { id, script, departed: Rc::default(), unheard: Rc::new(RefCell::new(unheard)) };
        if replay {
            let mut parties = [member.clone()];
            let done = self.run_over(Transaction::replay(&self.set), &mut parties);
            if !done.is_agreed() {
                return Err(self.refusal(&done, ["R4", "R4"], &parties));
            }
            if member.departed() {
                let status = Status::DRIVER_INTERNAL_ERROR;
                return Err(Refusal { by: "partition".to_owned(), status, clause: "L3" });
            }
            self.registry.sweep();
        }
        self.registry.insert(member);
        Ok(())
    }

    fn deregister(&mut self, name: &str) -> Result<(), Refusal> {
        let known = self.registry.parties().iter().find(|member| member.script.party.name == name);
        let known = known.map_or((Level(0), PartyId(0)), |member| (member.level(), member.id));
        let removed = self.registry.remove(known.0, false, known.1).map(drop);
        removed.map_err(|status| Refusal { by: "partition".to_owned(), status, clause: "D2" })
    }

    fn add(&mut self, ids: &[HardwareId], together: bool) -> Vec<Result<(), Refusal>> {
        if together {
            return self.add_one(ids);
        }
        ids.iter().flat_map(|id| self.add_one(&[*id])).collect()
    }

    fn remove(&mut self, id: HardwareId) -> Result<(), Refusal> {
        let refused = |_| {
            let status = Status::INVALID_DEVICE_STATE;
            Refusal { by: "partition".to_owned(), status, clause: "X1" }
        };
        let transaction = Transaction::remove(&self.set, id).map_err(refused)?;
        let parties = self.registry.parties().to_vec();
        let done = self.run(transaction);
        if done.is_agreed() { Ok(()) } else { Err(self.refusal(&done, ["X1", "X1"], &parties)) }
    }

    fn rehearse(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal> {
        drop(self.admitted(&[id])?);
        let names: Vec<_> =
            self.registry.parties().iter().map(|member| member.script.party.name.clone()).collect();
        let rehearsal = Transaction::rehearse(&self.set, id).expect("it was admitted");
        let done = self.run(rehearsal);
        let agreed = |at| !done.refusals().iter().any(|refusal| refusal.position == at);
        Ok(names.into_iter().enumerate().map(|(at, name)| (name, agreed(at))).collect())
    }

    fn rehearse_removal(&mut self, id: HardwareId) -> Result<Vec<(String, bool)>, Refusal> {
        let refused = |_| {
            let status = Status::INVALID_DEVICE_STATE;
            Refusal { by: "partition".to_owned(), status, clause: "X1" }
        };
        let rehearsal = Transaction::rehearse_removal(&self.set, id).map_err(refused)?;
        let names: Vec<_> =
            self.registry.parties().iter().map(|member| member.script.party.name.clone()).collect();
        let done = self.run(rehearsal);
        let agreed = |at| !done.refusals().iter().any(|refusal| refusal.position == at);
        // A removal asks from the last party to the first.
        Ok(names.into_iter().enumerate().rev().map(|(at, name)| (name, agreed(at))).collect())
    }

    fn observe(&mut self, _: &Journal) {
        unreachable!("not offered");
    }

    fn fault(&mut self, fault: Fault, id: HardwareId) {
        match fault {
            Fault::Start(_) | Fault::Stop(_) => {
                self.fails.insert((id, matches!(fault, Fault::Start(_))));
            }
            Fault::Heal(_) => self.fails.retain(|(failing, _)| *failing != id),
            Fault::Vanish(_) => {
                let Some((set, lost)) = self.set.lose(&[id]) else { return };
                self.set = set;
                self.run(Transaction::vanished(&self.set, &lost));
                lost.iter().for_each(|processor| self.unheard(*processor));
            }
            Fault::Intrude(_) => {
                let (set, processor) = self.set.intrude(id).expect("it is not active");
                self.set = set;
                self.unheard(processor);
            }
        }
    }

    fn active(&self) -> ActiveSet {
        self.set.clone()
    }
}
