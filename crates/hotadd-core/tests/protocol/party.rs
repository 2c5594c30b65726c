//! The parties as the transaction sees them. Calling one means sending a message to it.

use std::collections::BTreeSet;

use hotadd_core::{Level, Notice, Party, PartyId, Processor, Status, Together, Veto};

use crate::partition::Out;
use crate::world::{Answer, ConnectionId, Down, Job, Member};

/// A member as the transaction sees it.
#[derive(Debug)]
pub(crate) struct ModelParty {
    pub(crate) id: PartyId,
    connection: ConnectionId,
    level: Level,
    hears_removal: bool,
    /// The processors that it was not told of.
    unheard: BTreeSet<Processor>,
    lost: bool,
    pub(crate) departed: bool,
}

impl ModelParty {
    pub(crate) fn of(member: &Member) -> Self {
        Self {
            id: member.id,
            connection: member.connection,
            level: Level(member.spec.level),
            hears_removal: member.spec.hears_removal,
            unheard: member.unheard.clone(),
            lost: member.lost,
            departed: false,
        }
    }
}

impl Party for ModelParty {
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

/// A call is a message that is sent; its answer is taken from those received. Once an answer is missing, it
/// does nothing more.
pub(crate) struct Caller<'a> {
    pub(crate) job: &'a mut Job,
    pub(crate) out: &'a mut Vec<Out>,
    pub(crate) waits: bool,
}

impl Together<ModelParty> for Caller<'_> {
    fn begin(&mut self, party: &mut ModelParty, notice: &Notice) {
        let key = (party.id, notice.state(), notice.processor());
        if !self.waits && !party.lost && self.job.sent.insert(key) {
            self.out.push(Out::Send(party.connection, Down::Call(party.id, *notice)));
        }
    }

    fn call(&mut self, party: &mut ModelParty, notice: &Notice) -> Result<(), Veto> {
        if self.waits {
            return Ok(());
        }
        self.begin(party, notice);
        let key = (party.id, notice.state(), notice.processor());
        let lost = party.lost.then_some(Answer::Crashed);
        match self.job.answers.get(&key).copied().or(lost) {
            None => self.waits = true,
            Some(Answer::Agreed) => {}
            Some(Answer::Vetoed) => return Err(Status::UNSUCCESSFUL.into()),
            Some(Answer::Crashed) => {
                party.departed = true;
                self.job.answers.insert(key, Answer::Crashed);
                return Err(Veto::crash(Status::CONNECTION_RESET, "its connection is gone"));
            }
        }
        Ok(())
    }
}
