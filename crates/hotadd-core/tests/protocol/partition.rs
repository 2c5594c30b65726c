//! The partition's process: the real [`Transaction`] and [`Registry`], fed with the answers received so far.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::{Errno, PlatformError, Processor, Registry, State, Step, Transaction};

use crate::party::{Caller, ModelParty};
use crate::violation::{Event, Events};
use crate::world::{Answer, ConnectionId, Down, Job, Key, Kind, Member, Partition, Untold, View};

/// What the partition sends: calls, and replies that can be delayed.
#[derive(Debug)]
pub(crate) enum Out {
    Send(ConnectionId, Down),
    Reply(ConnectionId, Down),
}

impl Partition {
    pub(crate) fn start(running: &BTreeSet<u32>, named: BTreeSet<usize>) -> Self {
        Self {
            view: View::found(running),
            members: Vec::new(),
            waiting: Vec::new(),
            job: None,
            untold: Vec::new(),
            named,
            next_party: 1,
        }
    }

    /// Begins a transaction. No other may be under way.
    pub(crate) fn begin(&mut self, kind: Kind) {
        self.job = Some(Job {
            kind,
            base: self.view.clone(),
            published: Vec::new(),
            touched: false,
            sent: BTreeSet::new(),
            answers: BTreeMap::new(),
            acting: None,
            acted: Vec::new(),
            going: false,
        });
    }

    /// The calls that were sent and not yet answered.
    pub(crate) fn unanswered(&self) -> Vec<Key> {
        let Some(job) = &self.job else { return Vec::new() };
        job.sent.iter().filter(|key| !job.answers.contains_key(key)).copied().collect()
    }

    /// Handles an answer. An answer that is not waited for is ignored.
    pub(crate) fn answered(&mut self, key: Key, answer: Answer, events: &Events) {
        let waited_for = self.unanswered().contains(&key);
        match &mut self.job {
            Some(job) if waited_for => _ = job.answers.insert(key, answer),
            _ => events.record(Event::LateAnswer),
        }
    }

    /// Handles a lost connection. The parties asked over it have crashed (L3). Its other parties crash when
    /// their turn comes.
    pub(crate) fn lost(&mut self, connection: ConnectionId, events: &Events) {
        self.waiting.retain(|member| member.connection != connection);
        let mut gone = Vec::new();
        let replayed = match &mut self.job {
            Some(Job { kind: Kind::Replay(member), .. }) => Some(member),
            _ => None,
        };
        for member in self.members.iter_mut().chain(replayed) {
            if member.connection == connection {
                member.lost = true;
                gone.push(member.id);
            }
        }
        for key in self.unanswered() {
            if gone.contains(&key.0) {
                if let Some(Job { kind: Kind::Add(_), .. }) = self.job
                    && key.1 == State::AddStart
                {
                    events.record(Event::VetoedByLoss);
                }
                self.answered(key, Answer::Crashed, events);
            }
        }
    }

    /// Continues until it has to wait for answers, for the platform or for requests.
    pub(crate) fn advance(&mut self, running: &BTreeSet<u32>, events: &Events) -> Vec<Out> {
        let mut out = Vec::new();
        loop {
            if self.job.is_some() {
                let published = self.job.as_ref().map(|job| job.published.len());
                let over = self.run(&mut out, events);
                if let Some(agreed) = over {
                    self.ended(agreed, &mut out, events);
                }
                if self.job.as_ref().map(|job| job.published.len()) != published {
                    // A change from before the publication, or one that waited for the end, is found now.
                    self.look(running, events);
                }
                if over.is_none() {
                    return out;
                }
                continue;
            }
            self.members.retain(|member| !member.lost);
            if !self.untold.is_empty() {
                match self.untold.remove(0) {
                    Untold::Left(processor) => self.begin(Kind::Vanished(processor)),
                    Untold::Came(processor) => {
                        self.members.iter_mut().for_each(|m| _ = m.unheard.insert(processor));
                    }
                }
            } else if self.waiting.is_empty() {
                return out;
            } else {
                let member = self.waiting.remove(0);
                if member.replay {
                    self.begin(Kind::Replay(member));
                } else {
                    let active = self.view.active();
                    self.admit(Member { unheard: active.clone(), ..member }, active, &mut out);
                }
            }
        }
    }

    /// Registers a member. `had`: the processors that were active when its turn came.
    fn admit(&mut self, member: Member, had: BTreeSet<Processor>, out: &mut Vec<Out>) {
        let member = Member { had, ..member };
        out.push(Out::Reply(member.connection, Down::Registered(member.id, self.view.epoch)));
        self.members.push(member);
    }

    /// Runs the transaction as far as the answers allow. Returns whether all agreed, if it reached its end.
    fn run(&mut self, out: &mut Vec<Out>, events: &Events) -> Option<bool> {
        let job = self.job.as_mut()?;
        let base = job.base.set();
        let mut registry = Registry::new(16);
        let mut transaction = match &job.kind {
            Kind::Add(id) => Transaction::add(&base, &[*id]).expect("it was looked at before"),
            Kind::Remove(id) => Transaction::remove(&base, *id).expect("it was looked at before"),
            Kind::Vanished(processor) => Transaction::vanished(&base, &[*processor]),
            Kind::Replay(member) => {
                registry.insert(ModelParty::of(member));
                Transaction::replay(&base)
            }
        };
        if registry.parties().is_empty() {
            self.members.iter().for_each(|member| registry.insert(ModelParty::of(member)));
        }
        let mut acted = job.acted.clone().into_iter();
        let mut published = job.published.clone().into_iter();
        loop {
            match transaction.step() {
                Step::Publish => {
                    if let Some(before) = published.next() {
                        transaction.publish(&before.set());
                        continue;
                    }
                    job.published.push(self.view.clone());
                    let set = transaction.publish(&self.view.set());
                    self.view = View::of(&set);
                    for left in transaction.changed() {
                        if set.active(left.id).is_none() {
                            // Every party that heard of it is about to be told that it is gone, so earlier
                            // news is dropped.
                            self.untold.retain(|untold| untold.processor() != *left);
                        }
                    }
                }
                Step::Call(_) => {
                    let mut caller = Caller { job, out, waits: false };
                    transaction.call_together(registry.parties_mut(), || true, &mut caller);
                    if caller.waits {
                        // What the transaction did after the missing answer has no meaning.
                        return None;
                    }
                }
                Step::Start(processor) | Step::Stop(processor) => {
                    let Some(ok) = acted.next() else {
                        job.acting = Some(processor);
                        return None;
                    };
                    let refusal: PlatformError = Errno::EIO.into();
                    transaction.acted(if ok { Ok(()) } else { Err(refusal) });
                }
                Step::Done => break,
            }
        }
        match (&job.kind, transaction.is_agreed()) {
            (Kind::Add(_), true) => events.record(Event::Joined),
            (Kind::Remove(_), true) => events.record(Event::Left),
            _ => {}
        }
        let departed: Vec<_> = registry
            .parties()
            .iter()
            .filter(|party| party.departed)
            .map(|party| party.id)
            .collect();
        self.members.retain(|member| !departed.contains(&member.id));
        if let Kind::Replay(member) = &mut job.kind {
            // It may also crash when it is told the outcome.
            member.lost |= departed.contains(&member.id);
        }
        Some(transaction.is_agreed())
    }

    /// The transaction is over.
    fn ended(&mut self, agreed: bool, out: &mut Vec<Out>, events: &Events) {
        match self.job.take().map(|job| (job.base, job.kind)) {
            Some((base, Kind::Replay(member))) => {
                if agreed && !member.lost {
                    self.admit(member, base.active(), out);
                } else {
                    events.record(Event::Refused);
                    out.push(Out::Reply(member.connection, Down::Refused));
                }
            }
            Some((_, Kind::Vanished(left))) => self.left(left),
            Some((base, Kind::Remove(id))) if agreed => {
                self.left(base.set().by_id(id).expect("it was active"));
            }
            _ => {}
        }
    }

    /// Handles a processor that left after every party that heard of it was told. When it joins again, it
    /// counts as new.
    fn left(&mut self, processor: Processor) {
        for member in &mut self.members {
            member.unheard.remove(&processor);
            member.had.remove(&processor);
        }
    }

    /// Whether a processor can be added, or removed.
    pub(crate) fn admits(&self, kind: &Kind) -> bool {
        self.job.is_none()
            && match kind {
                Kind::Add(id) => !self.view.is_active(*id),
                Kind::Remove(id) => self.view.is_active(*id) && self.view.count() > 1,
                Kind::Replay(_) | Kind::Vanished(_) => true,
            }
    }

    /// Whether every registered party has agreed to the processor that is being started.
    pub(crate) fn all_agreed(&self, processor: Processor) -> bool {
        let Some(job) = &self.job else { return false };
        self.members.iter().all(|member| {
            job.answers.get(&(member.id, State::AddStart, processor)) == Some(&Answer::Agreed)
        })
    }
}

impl Untold {
    const fn processor(self) -> Processor {
        match self {
            Self::Left(processor) | Self::Came(processor) => processor,
        }
    }
}
