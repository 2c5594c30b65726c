//! The partition's process: the real [`Transaction`] and [`Registry`], fed with the answers that have come.

use std::collections::{BTreeMap, BTreeSet};

use hotadd_core::{
    Errno, HardwareId, Level, Notice, Party, PartyId, PlatformError, Processor, Registry, State,
    Status, Step, Together, Transaction, Veto,
};

use crate::world::{Answer, Down, Job, Key, Kind, LineId, Member, Partition, View};
use crate::wrong::{Sight, Sights};

/// What the partition sends: calls, and replies that take their time.
#[derive(Debug)]
pub(crate) enum Out {
    Send(LineId, Down),
    Reply(LineId, Down),
}

impl Partition {
    pub(crate) fn start(running: &BTreeSet<u32>) -> Self {
        Self {
            view: View::found(running),
            members: Vec::new(),
            waiting: Vec::new(),
            job: None,
            next_party: 1,
        }
    }

    /// Begins an add or a removal. Nothing else must be under way.
    pub(crate) fn begin(&mut self, kind: Kind) {
        self.job = Some(Job {
            kind,
            base: self.view.clone(),
            sent: BTreeSet::new(),
            answers: BTreeMap::new(),
            acting: None,
            acted: Vec::new(),
            going: false,
        });
    }

    /// The calls that were sent and not answered.
    pub(crate) fn unanswered(&self) -> Vec<Key> {
        let Some(job) = &self.job else { return Vec::new() };
        job.sent.iter().filter(|key| !job.answers.contains_key(key)).copied().collect()
    }

    /// An answer has come. One that nobody waits for is passed over.
    pub(crate) fn answered(&mut self, key: Key, answer: Answer, sights: &Sights) {
        let waited_for = self.unanswered().contains(&key);
        match &mut self.job {
            Some(job) if waited_for => _ = job.answers.insert(key, answer),
            _ => sights.see(Sight::LateAnswer),
        }
    }

    /// A connection is gone: those who are being asked over it have crashed (L3), and so have, when their turn comes, the
    /// others.
    pub(crate) fn lost(&mut self, line: LineId, sights: &Sights) {
        self.waiting.retain(|member| member.line != line);
        let mut gone = Vec::new();
        let replayed = match &mut self.job {
            Some(Job { kind: Kind::Replay(member), .. }) => Some(member),
            _ => None,
        };
        for member in self.members.iter_mut().chain(replayed) {
            if member.line == line {
                member.lost = true;
                gone.push(member.id);
            }
        }
        for key in self.unanswered() {
            if gone.contains(&key.0) {
                if let Some(Job { kind: Kind::Add(_), .. }) = self.job
                    && key.1 == State::AddStart
                {
                    sights.see(Sight::VetoedByLoss);
                }
                self.answered(key, Answer::Crashed, sights);
            }
        }
    }

    /// Goes on until answers, the platform or requests are waited for.
    pub(crate) fn advance(&mut self, sights: &Sights) -> Vec<Out> {
        let mut out = Vec::new();
        loop {
            if self.job.is_none() {
                self.members.retain(|member| !member.lost);
                if self.waiting.is_empty() {
                    return out;
                }
                let member = self.waiting.remove(0);
                if member.spec.later_only {
                    self.admit(member, &mut out);
                } else {
                    self.begin(Kind::Replay(member));
                }
                continue;
            }
            let Some((agreed, departed)) = self.run(&mut out, sights) else { return out };
            self.members.retain(|member| !departed.contains(&member.id));
            let active = self.view.active();
            self.members.iter_mut().for_each(|m| m.unheard.retain(|p| active.contains(p)));
            if let Some(Job { kind: Kind::Replay(member), .. }) = self.job.take() {
                // It may also crash when it is told that all is well.
                if agreed && !departed.contains(&member.id) {
                    self.admit(member, &mut out);
                } else {
                    sights.see(Sight::Refused);
                    out.push(Out::Reply(member.line, Down::Refused));
                }
            }
        }
    }

    fn admit(&mut self, mut member: Member, out: &mut Vec<Out>) {
        member.had = self.view.active();
        if member.spec.later_only {
            member.unheard.clone_from(&member.had);
        }
        out.push(Out::Reply(member.line, Down::Registered(member.id, self.view.epoch)));
        self.members.push(member);
    }

    /// Runs the transaction as far as the answers go. If that is to its end: whether all agreed, and who has departed.
    fn run(&mut self, out: &mut Vec<Out>, sights: &Sights) -> Option<(bool, Vec<PartyId>)> {
        let job = self.job.as_mut()?;
        let base = job.base.set();
        let mut set = base.clone();
        let mut registry = Registry::new(16);
        let mut transaction = match &job.kind {
            Kind::Add(id) => Transaction::add(&base, &[*id]).expect("it was looked at before"),
            Kind::Remove(id) => Transaction::remove(&base, *id).expect("it was looked at before"),
            Kind::Replay(member) => {
                registry.insert(Doll::of(member));
                Transaction::replay(&base)
            }
        };
        if registry.parties().is_empty() {
            self.members.iter().for_each(|member| registry.insert(Doll::of(member)));
        }
        let mut acted = job.acted.clone().into_iter();
        loop {
            match transaction.step() {
                Step::Publish => {
                    set = transaction.publish(&set);
                    self.view = View::of(&set);
                }
                Step::Call(_) => {
                    let mut caller = Caller { job, out, waits: false };
                    transaction.call_together(registry.parties_mut(), || true, &mut caller);
                    if caller.waits {
                        // What the transaction has come to since is of no meaning.
                        return None;
                    }
                }
                Step::Start(processor) | Step::Stop(processor) => {
                    let Some(ok) = acted.next() else {
                        job.acting = Some(processor);
                        return None;
                    };
                    transaction.acted(if ok { Ok(()) } else { Err(refusal()) });
                }
                Step::Done => break,
            }
        }
        match (&job.kind, transaction.is_agreed()) {
            (Kind::Add(_), true) => sights.see(Sight::Joined),
            (Kind::Remove(_), true) => sights.see(Sight::Left),
            _ => {}
        }
        let departed = registry.parties().iter().filter(|doll| doll.departed).map(|doll| doll.id);
        Some((transaction.is_agreed(), departed.collect()))
    }

    /// Whether a processor can be added, or removed.
    pub(crate) fn admits(&self, kind: &Kind) -> bool {
        let set = self.view.set();
        let active = |id: HardwareId| set.by_id(id).is_some_and(|p| set.contains(p.index));
        self.job.is_none()
            && match kind {
                Kind::Add(id) => !active(*id),
                Kind::Remove(id) => active(*id) && set.count() > 1,
                Kind::Replay(_) => true,
            }
    }

    /// Whether everybody who is registered has agreed to the processor that is being started.
    pub(crate) fn all_agreed(&self, processor: Processor) -> bool {
        let Some(job) = &self.job else { return false };
        self.members.iter().all(|member| {
            job.answers.get(&(member.id, State::AddStart, processor)) == Some(&Answer::Agreed)
        })
    }
}

fn refusal() -> PlatformError {
    Errno::EIO.into()
}

/// A member as the transaction sees it.
#[derive(Debug)]
struct Doll {
    id: PartyId,
    line: LineId,
    level: Level,
    hears_removal: bool,
    /// What it was not told of (R2).
    unheard: BTreeSet<Processor>,
    lost: bool,
    departed: bool,
}

impl Doll {
    fn of(member: &Member) -> Self {
        Self {
            id: member.id,
            line: member.line,
            level: Level(member.spec.level),
            hears_removal: member.spec.hears_removal,
            unheard: member.unheard.clone(),
            lost: member.lost,
            departed: false,
        }
    }
}

impl Party for Doll {
    fn id(&self) -> PartyId {
        self.id
    }
    fn level(&self) -> Level {
        self.level
    }
    fn departed(&self) -> bool {
        self.departed
    }
    fn hears_removal(&self) -> bool {
        self.hears_removal
    }
    fn heard_of(&self, processor: Processor) -> bool {
        !self.unheard.contains(&processor)
    }
    fn at_once(&self) -> bool {
        true
    }
}

/// Calls by sending, and answers from what has come. From the first answer that has not, nothing is done any more.
struct Caller<'a> {
    job: &'a mut Job,
    out: &'a mut Vec<Out>,
    waits: bool,
}

impl Together<Doll> for Caller<'_> {
    fn begin(&mut self, doll: &mut Doll, notice: &Notice) {
        let key = (doll.id, notice.state(), notice.processor());
        if !self.waits && !doll.lost && self.job.sent.insert(key) {
            self.out.push(Out::Send(doll.line, Down::Call(doll.id, *notice)));
        }
    }

    fn call(&mut self, doll: &mut Doll, notice: &Notice) -> Result<(), Veto> {
        if self.waits {
            return Ok(());
        }
        self.begin(doll, notice);
        let key = (doll.id, notice.state(), notice.processor());
        let lost = doll.lost.then_some(Answer::Crashed);
        match self.job.answers.get(&key).copied().or(lost) {
            None => self.waits = true,
            Some(Answer::Agreed) => {}
            Some(Answer::Vetoed) => return Err(Status::UNSUCCESSFUL.into()),
            Some(Answer::Crashed) => {
                doll.departed = true;
                self.job.answers.insert(key, Answer::Crashed);
                return Err(Veto::crash(Status::CONNECTION_RESET, "its connection is gone"));
            }
        }
        Ok(())
    }
}
