//! [`RemoteDriver`]: a party in another process, as a driver of the partition.

use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hotadd::text::clean_char;
use hotadd::{Driver, Notice, Partition, Removal, State, Status, Veto, wire};
use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::zvariant::{OwnedObjectPath, Signature, Structure, Value};

use crate::connection::Connection;
use crate::lock;
use crate::pending::{Answer, Loss};
use crate::route::Route;

/// The longest reason that is passed on, in bytes.
const LONGEST_REASON: usize = 512;

/// An agent, as its driver and whoever deregisters it both know it.
pub(crate) struct Agent {
    path: OwnedObjectPath,
    /// It is not called any more.
    ///
    /// The lock is held while a call is sent. So a call is sent before the reply to Deregister or never (D1).
    left: Mutex<bool>,
    /// Why it counts as crashed.
    crash: Mutex<Option<(Status, String)>>,
}

impl Agent {
    pub(crate) fn new(path: OwnedObjectPath) -> Self {
        Self { path, left: Mutex::default(), crash: Mutex::default() }
    }

    /// From here on the agent is not called.
    pub(crate) fn leave(&self) {
        *lock(&self.left) = true;
    }

    /// What tells the agent that it was deregistered, if that was because it crashed (L3).
    pub(crate) fn farewell(&self, route: &Route, party: u64) -> Option<Message> {
        let (status, reason) = lock(&self.crash).clone()?;
        let call = route.call(&self.path, wire::DEREGISTERED).ok()?;
        let call = call.interface(wire::AGENT).ok()?.with_flags(Flags::NoReplyExpected).ok()?;
        let reason = wire::text(&reason, wire::MAX_REASON);
        call.build(&(party, status.to_raw(), reason)).ok()
    }
}

/// How an agent is to be called.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) removal: bool,
    pub(crate) with_set: bool,
    /// What its connection asks for while it is being asked comes from elsewhere.
    pub(crate) concurrent: bool,
    pub(crate) time_limit: Duration,
}

/// A party in another process. It is called over its connection, from the thread of the transaction.
pub(crate) struct RemoteDriver {
    connection: Arc<Connection>,
    partition: Partition,
    party: u64,
    terms: Terms,
    agent: Arc<Agent>,
    begun: Option<Begun>,
    took: Option<Duration>,
}

/// A call that was sent.
struct Begun {
    serial: NonZeroU32,
    at: Instant,
    answer: Receiver<Answer>,
}

impl RemoteDriver {
    pub(crate) fn new(
        connection: Arc<Connection>,
        partition: Partition,
        party: u64,
        terms: Terms,
        agent: Arc<Agent>,
    ) -> Self {
        Self { connection, partition, party, terms, agent, begun: None, took: None }
    }

    fn send(&self, notice: &Notice) -> zbus::Result<Option<Begun>> {
        let (serial, call) = self.call(notice)?;
        let left = lock(&self.agent.left);
        if *left {
            return Ok(None);
        }
        let answer = self.connection.pending.expect(serial, !self.terms.concurrent);
        let at = Instant::now();
        self.connection.send_bytes(&call);
        Ok(Some(Begun { serial, at, answer }))
    }

    /// The call for a notice, and its serial.
    fn call(&self, notice: &Notice) -> zbus::Result<(NonZeroU32, Vec<u8>)> {
        let set = self.terms.with_set.then(|| self.partition.active());
        let (path, route) = (&self.agent.path, &self.connection.route);
        if matches!(route, Route::Own(_)) {
            return self.connection.core.calls.make(path, self.party, notice, set);
        }
        let call = route
            .call(path, notice.state().name())?
            .interface(wire::AGENT)?
            .build(&wire::notice(self.party, notice, set.as_deref()))?;
        Ok((call.primary_header().serial_num(), call.data().to_vec()))
    }

    /// Waits for the answer to a call that was sent.
    fn wait(&mut self, begun: &Begun, state: State) -> Result<(), Veto> {
        let limit = self.terms.time_limit;
        let left = limit.saturating_sub(begun.at.elapsed());
        match begun.answer.recv_timeout(left) {
            Ok(Answer::Agreed(at)) => {
                self.took = Some(at.saturating_duration_since(begun.at));
                Ok(())
            }
            Ok(Answer::Reply(reply, at)) => {
                self.took = Some(at.saturating_duration_since(begun.at));
                judge(&reply, state)
            }
            Ok(Answer::Lost(loss)) => Err(loss.crash()),
            Err(RecvTimeoutError::Timeout) => {
                self.connection.pending.forget(begun.serial);
                Err(Veto::crash(Status::IO_TIMEOUT, format!("no answer in {}", limit_text(limit))))
            }
            // Only if the connection's own task has failed.
            Err(RecvTimeoutError::Disconnected) => {
                Err(Veto::crash(Status::PIPE_BROKEN, "its connection was closed"))
            }
        }
    }
}

impl Driver for RemoteDriver {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        if self.terms.removal { Some(self) } else { None }
    }

    fn begin(&mut self, notice: &Notice) {
        self.took = None;
        // What cannot be sent now is tried, and reported, when the answer is asked for.
        self.begun = self.send(notice).unwrap_or_default();
    }

    fn answered_in(&self) -> Option<Duration> {
        self.took
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        if self.begun.is_none() {
            self.took = None;
            self.begun = self.send(notice).map_err(|error| {
                Loss {
                    status: Status::INVALID_NETWORK_RESPONSE,
                    reason: format!("it could not be called: {error}"),
                }
                .crash()
            })?;
        }
        // Nothing is sent to one that has left, and it agrees to everything.
        let Some(begun) = self.begun.take() else { return Ok(()) };
        let answer = self.wait(&begun, notice.state());
        if let Err(veto) = &answer
            && veto.is_crash()
        {
            *lock(&self.agent.crash) = Some((veto.status(), veto.reason().to_owned()));
        }
        answer
    }
}

impl Drop for RemoteDriver {
    fn drop(&mut self) {
        // Of a call whose answer was never asked for.
        if let Some(begun) = &self.begun {
            self.connection.pending.forget(begun.serial);
        }
    }
}

impl Removal for RemoteDriver {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}

/// What a reply says.
pub(crate) fn judge(reply: &Message, state: State) -> Result<(), Veto> {
    let body = reply.body();
    if reply.message_type() == Type::MethodReturn {
        return match body.signature() {
            Signature::Unit if body.is_empty() => Ok(()),
            // What nobody can read is no agreement: a body that no signature speaks of.
            Signature::Unit => Err(unreadable(format!(
                "it answered {state} with {} bytes that have no signature",
                body.len()
            ))),
            signature => Err(unreadable(format!(
                "it answered {state} with arguments ({signature}), where there are none"
            ))),
        };
    }
    let header = reply.header();
    let name = header.error_name().map_or("", |name| name.as_str());
    let status = wire::veto_status(name);
    let reason = match body.signature() {
        Signature::Str => body.deserialize::<&str>().ok().map(str::to_owned),
        Signature::Structure(_) => body.deserialize::<Structure<'_>>().ok().and_then(|body| {
            let Some(Value::Str(reason)) = body.fields().first() else { return None };
            Some(reason.as_str().to_owned())
        }),
        _ => None,
    };
    let reason = reason.map(|reason| presentable(&reason)).filter(|reason| !reason.is_empty());
    Err(Veto::new(
        status,
        reason.unwrap_or_else(|| match status.sentence() {
            Some(sentence) if name.starts_with(wire::STATUS_ERROR) => sentence.to_owned(),
            _ if name.starts_with(wire::STATUS_ERROR) => "no reason given".to_owned(),
            _ => format!("it answered with the error {name}"),
        }),
    ))
}

/// An answer that does not follow the protocol (L3).
fn unreadable(reason: String) -> Veto {
    Veto::crash(Status::INVALID_NETWORK_RESPONSE, reason)
}

/// A stranger's words, fit for a terminal and a log.
pub(crate) fn presentable(text: &str) -> String {
    let mut fit = String::with_capacity(text.len().min(LONGEST_REASON));
    for char in text.trim().chars() {
        if fit.len() + char.len_utf8() > LONGEST_REASON {
            fit.push('…');
            break;
        }
        fit.push(clean_char(char));
    }
    fit
}

/// 5 s, 100 ms.
fn limit_text(limit: Duration) -> String {
    if limit.subsec_millis() == 0 {
        format!("{} s", limit.as_secs())
    } else {
        format!("{} ms", limit.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_words_steer_no_terminal_and_turn_no_line() {
        assert_eq!(presentable(" a\n\u{1b}[2J\0b "), "a \u{fffd}[2J\u{fffd}b");
        for turns in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}'] {
            assert_eq!(presentable(&format!("a{turns}b")), "a\u{fffd}b");
        }
        let long = presentable(&"\u{202e}".repeat(LONGEST_REASON));
        assert!(long.len() <= LONGEST_REASON + '…'.len_utf8(), "{} bytes", long.len());
    }
}
