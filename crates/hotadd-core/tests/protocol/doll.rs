//! The parties, as the transaction sees them, and how they are called: by sending.

use std::collections::BTreeSet;

use hotadd_core::{Level, Notice, Party, PartyId, Processor, Status, Together, Veto};

use crate::partition::Out;
use crate::world::{Answer, Down, Job, LineId, Member};

/// A member as the transaction sees it.
#[derive(Debug)]
pub(crate) struct Doll {
    pub(crate) id: PartyId,
    line: LineId,
    level: Level,
    hears_removal: bool,
    /// What it was not told of.
    unheard: BTreeSet<Processor>,
    lost: bool,
    pub(crate) departed: bool,
}

impl Doll {
    pub(crate) fn of(member: &Member) -> Self {
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

/// A call is a message that is sent; its answer is taken from what has come. Where an answer has not come yet it does nothing more.
pub(crate) struct Caller<'a> {
    pub(crate) job: &'a mut Job,
    pub(crate) out: &'a mut Vec<Out>,
    pub(crate) waits: bool,
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
