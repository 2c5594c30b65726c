//! [`Calls`]: the calls that tell agents of a notice. Making a call costs more than sending it, and most of it is the same for all
//! agents. So it is made once, and the other agents are sent copies with another party and serial.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use hotadd_core::{Notice, Status};
use zbus::zvariant::{ObjectPath, OwnedObjectPath};

use crate::limits::{MAX_REASON, text};
use crate::message::{Message, MessageError, Outgoing};
use crate::names::{AGENT, AGENT_PATH, DEREGISTERED};
use crate::peer::Addressing;
use crate::values;

/// The object path of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPath(OwnedObjectPath);

impl AgentPath {
    pub(crate) const fn new(path: OwnedObjectPath) -> Self {
        Self(path)
    }

    /// Parses a path; `None` if it is not a valid one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        OwnedObjectPath::try_from(text).ok().map(Self)
    }

    /// The number at the end of the path of an agent that is called over a board.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.0.strip_prefix(AGENT_PATH)?.parse().ok()
    }

    pub(crate) fn object(&self) -> &ObjectPath<'static> {
        &self.0
    }
}

/// The position of the serial in a message.
const SERIAL: std::ops::Range<usize> = 8..12;

/// The greatest serial. A call in shared memory has a serial of 31 bits.
const LAST_SERIAL: u32 = u32::MAX >> 1;

/// The length of the party, which is the first argument in the body.
const PARTY: usize = size_of::<u64>();

/// Calls over direct connections, where nothing else issues serials of calls that are answered.
#[derive(Debug, Default)]
pub struct Calls {
    serials: AtomicU32,
    last: Mutex<Option<Last>>,
}

/// The most recent call.
#[derive(Debug)]
struct Last {
    path: AgentPath,
    notice: Notice,
    bytes: Vec<u8>,
    /// The offset of the body.
    body: usize,
}

impl Calls {
    /// The call that tells this party of a notice, and its serial. Over a bus the serial is one of the bus connection.
    ///
    /// # Errors
    /// If it cannot be encoded: there is no method for the state.
    pub fn make(
        &self,
        to: Addressing<'_>,
        path: &AgentPath,
        party: u64,
        notice: &Notice,
    ) -> Result<(NonZeroU32, Vec<u8>), MessageError> {
        let call = || outgoing(path, notice.state().name())?.addressed(to);
        if let Addressing::Bus(_) = to {
            let call = call()?.build(&values::notice(party, notice))?;
            return Ok((call.serial(), call.bytes().to_vec()));
        }
        let serial = self.next();
        if let Addressing::Greeted(_) = to {
            let call = call()?.serial(serial).build(&values::notice(party, notice))?;
            return Ok((serial, call.bytes().to_vec()));
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.tells(path, notice)
        {
            return Ok((serial, last.copy(serial, party)));
        }
        let call = call()?.serial(serial).build(&values::notice(party, notice))?;
        let bytes = call.bytes().to_vec();
        let body = bytes.len() - call.body_length();
        let (path, notice) = (path.clone(), *notice);
        *last = Some(Last { path, notice, bytes: bytes.clone(), body });
        Ok((serial, bytes))
    }

    /// The next serial, from 1 to 2^31 - 1. Relaxed: the counter only issues numbers. After two thousand million of them it
    /// starts again.
    pub fn next(&self) -> NonZeroU32 {
        loop {
            let serial = self.serials.fetch_add(1, Ordering::Relaxed) & LAST_SERIAL;
            if let Some(serial) = NonZeroU32::new(serial) {
                return serial;
            }
        }
    }
}

impl Last {
    fn tells(&self, path: &AgentPath, notice: &Notice) -> bool {
        self.notice == *notice && self.path == *path
    }

    /// The same call for another party. Messages are encoded in this machine's byte order.
    fn copy(&self, serial: NonZeroU32, party: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[SERIAL].copy_from_slice(&serial.get().to_ne_bytes());
        bytes[self.body..self.body + PARTY].copy_from_slice(&party.to_ne_bytes());
        bytes
    }
}

/// The message that refuses a call on a board, which has this serial.
///
/// # Errors
/// If the name is invalid, or the reason cannot be encoded.
pub fn refusal(serial: NonZeroU32, name: &str, reason: &str) -> Result<Message, MessageError> {
    let call = Outgoing::call("/", AGENT, DEREGISTERED)?.serial(serial).build(&())?;
    call.error(name, &reason)
}

/// The call that tells an agent that it was deregistered (L3).
///
/// # Errors
/// If it cannot be encoded.
pub fn deregistered(
    to: Addressing<'_>,
    path: &AgentPath,
    party: u64,
    status: Status,
    reason: &str,
) -> Result<Message, MessageError> {
    let call = outgoing(path, DEREGISTERED)?.addressed(to)?.without_reply()?;
    call.build(&(party, status.to_raw(), text(reason, MAX_REASON)))
}

fn outgoing<'a>(path: &'a AgentPath, method: &'a str) -> Result<Outgoing<'a>, MessageError> {
    Outgoing::call(path.0.as_str(), AGENT, method)
}

#[cfg(test)]
mod tests {
    use hotadd_core::{Epoch, HardwareId, Processor, ProcessorIndex, State};

    use super::*;

    fn notice(state: State, id: u32) -> Notice {
        let index = ProcessorIndex::new(id).unwrap();
        Notice::new(state, Processor { index, id: HardwareId(id) }).at_epoch(Epoch(9))
    }

    #[test]
    fn a_call_built_from_the_cache_equals_one_built_alone() {
        let calls = Calls::default();
        let paths = ["/org/hotadd/Agent/1", "/org/hotadd/Agent/22"];
        let paths = paths.map(|path| AgentPath::parse(path).unwrap());
        let mut serials = std::collections::BTreeSet::new();
        // Consecutive calls differ in one argument, or only in the party.
        for state in [State::AddStart, State::AddFailure] {
            for id in [1, 2] {
                for path in &paths {
                    for party in [7, 7, u64::MAX] {
                        let to = Addressing::Direct;
                        let notice = notice(state, id);
                        let made = calls.make(to, path, party, &notice).unwrap();
                        let alone = Calls { serials: made.0.get().into(), ..Calls::default() };
                        let alone = alone.make(to, path, party, &notice).unwrap();
                        assert_eq!(made, alone, "{state} {id} {path:?} {party}");
                        assert!(serials.insert(made.0), "each call has its own serial");
                    }
                }
            }
        }
    }

    #[test]
    fn serials_wrap_around_without_0() {
        let calls = Calls { serials: LAST_SERIAL.into(), ..Calls::default() };
        assert_eq!([calls.next(), calls.next()].map(NonZeroU32::get), [LAST_SERIAL, 1]);
    }
}
