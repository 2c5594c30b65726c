//! [`Call`]: what an agent is asked or told, and its form on a board.

use hotadd_core::{
    Epoch, Errno, HardwareId, Notice, PartyId, Processor, ProcessorIndex, State, Status,
};

use super::layout::{
    AFTER, AGENT, ALONE, CALL, CHAINED, EPOCH, ERRNO, FLAGS, ID, INDEX, PARTY, REPLAY, SERIAL,
    STATE, STATUS, SURPRISE,
};
use super::protocol::INTERRUPT;

/// A call to a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The serial: from 1 to 2^31 - 1, and no other call's on this connection.
    pub serial: u32,
    /// The N of the agent's object path `/org/hotadd/Agent/N`.
    pub agent: u32,
    /// The party.
    pub party: PartyId,
    /// What the driver is told.
    pub notice: Notice,
    /// How many bytes the partition had sent on the connection's socket before this call. The agent reads that many bytes before it
    /// follows the call.
    pub after: u64,
    /// Whether this is the only call of its level. The next call then depends on this answer alone, and the agent may watch for it.
    pub alone: bool,
    /// Whether the call was posted before the party answered its previous call. If the agent refused or skipped that one, it skips this
    /// one too.
    pub chained: bool,
}

/// The posted call that an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The place in the ring.
    pub(super) place: u32,
    pub(super) serial: u32,
    /// What `awake` was when the call was posted. Unused by agents.
    pub(super) awake: u32,
}

impl Entry {
    /// The serial of the call.
    #[must_use]
    pub const fn serial(&self) -> u32 {
        self.serial
    }
}

/// The posted words are not a valid call. The partition is faulty, so the agent stops using the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Garbled {
    /// More calls were posted than the ring has.
    #[error("more calls were posted than the board has places")]
    Count,
    /// A field has a value that it cannot have.
    #[error("a call on the board has an invalid {field}: {value}")]
    Field {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: u32,
    },
}

/// Whether a call can have this serial.
pub(super) const fn is_serial(serial: u32) -> bool {
    serial != 0 && serial < INTERRUPT
}

const WORDS: usize = CALL / 4;

/// The form of a call on a board.
pub(super) fn encode(call: &Call) -> [u32; WORDS] {
    let mut words = [0; WORDS];
    let mut word = |at: usize, value: u32| words[at / 4] = value;
    let notice = &call.notice;
    let flag = |is: bool, flag: u32| if is { flag } else { 0 };
    word(SERIAL, call.serial);
    word(AGENT, call.agent);
    word(
        STATE,
        State::ALL
            .into_iter()
            .zip(0..)
            .find(|(state, _)| *state == notice.state())
            .map_or(0, |(_, n)| n),
    );
    word(STATUS, notice.status().to_raw());
    word(ERRNO, notice.errno().map_or(0, |errno| errno.to_raw().unsigned_abs()));
    word(
        FLAGS,
        flag(notice.is_surprise(), SURPRISE)
            | flag(notice.is_replay(), REPLAY)
            | flag(call.alone, ALONE)
            | flag(call.chained, CHAINED),
    );
    word(INDEX, notice.processor().index.get());
    word(ID, notice.processor().id.0);
    for (at, long) in [(PARTY, call.party.0), (EPOCH, notice.epoch().0), (AFTER, call.after)] {
        let [first, second] = halves(long);
        word(at, first);
        word(at + 4, second);
    }
    words
}

/// The call of this form. Every field is checked: the words are what another process wrote.
pub(super) fn decode(words: &[u32; WORDS]) -> Result<Call, Garbled> {
    let word = |at: usize| words[at / 4];
    let long = |at: usize| whole([word(at), word(at + 4)]);
    let field = |field: &'static str, at: usize| Garbled::Field { field, value: word(at) };
    if !is_serial(word(SERIAL)) {
        return Err(field("serial", SERIAL));
    }
    let state = usize::try_from(word(STATE)).ok().and_then(|state| State::ALL.get(state));
    let state = *state.ok_or(field("state", STATE))?;
    let index = ProcessorIndex::new(word(INDEX)).ok_or(field("index", INDEX))?;
    let errno = i32::try_from(word(ERRNO)).map_err(|_| field("errno", ERRNO))?;
    let flags = word(FLAGS);
    if flags & !(SURPRISE | REPLAY | ALONE | CHAINED) != 0 {
        return Err(field("flags", FLAGS));
    }
    let errno = (errno != 0).then(|| Errno::from_raw(errno));
    let mut notice = Notice::new(state, Processor { index, id: HardwareId(word(ID)) })
        .with_failure(Status::from_raw(word(STATUS)), errno)
        .at_epoch(Epoch(long(EPOCH)));
    if flags & SURPRISE != 0 {
        notice = notice.as_surprise();
    }
    if flags & REPLAY != 0 {
        notice = notice.as_replay();
    }
    Ok(Call {
        serial: word(SERIAL),
        agent: word(AGENT),
        party: PartyId(long(PARTY)),
        notice,
        after: long(AFTER),
        alone: flags & ALONE != 0,
        chained: flags & CHAINED != 0,
    })
}

/// A long word as two words, in the machine's order.
fn halves(long: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = long.to_ne_bytes();
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

fn whole([first, second]: [u32; 2]) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}
