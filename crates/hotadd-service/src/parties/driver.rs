//! [`RemoteDriver`]: a party in another process, as a driver of the partition.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hotadd::{Driver, Notice, PartyId, Processor, Removal, State, Status, Veto};
use hotadd_page::board::{BoardWriter, Call, Entry, Outcome};
use hotadd_wire::{AgentAnswer, Calls, Message, MessageError, read_answer};

use crate::parties::agent::Agent;
use crate::parties::connection::Connection;
use crate::parties::loss::Loss;
use crate::parties::pending::Answer;
use crate::text::{presentable, span};
use crate::transport::route::Route;
use crate::transport::socket::Aside;

/// How long to wait before looking again whether a peer's input was handled.
const CONFIRM: Duration = Duration::from_micros(100);

/// How many calls of a replay are posted before the first of them is answered. Half of a board: each has its place.
const AHEAD: usize = 16;

/// How long to watch a socket for an answer. Slower ones are reported by the thread that reads all sockets.
const WATCH: Duration = Duration::from_micros(200);

/// How an agent is called.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) removal: bool,
    /// It is called over its connection's board.
    pub(crate) over_board: bool,
    /// While the agent is being asked, requests on its connection come from elsewhere, not from inside its callback.
    pub(crate) concurrent: bool,
    pub(crate) time_limit: Duration,
}

/// A party in another process. It is called over its connection, from the thread of the transaction.
pub(crate) struct RemoteDriver {
    connection: Arc<Connection>,
    calls: Arc<Calls>,
    party: u64,
    terms: Terms,
    agent: Arc<Agent>,
    /// The calls that were begun and whose answers were not taken yet. Only a replay has several.
    begun: VecDeque<(State, Processor, Option<Begun>)>,
    took: Option<Duration>,
}

/// A call that was sent.
struct Begun {
    serial: NonZeroU32,
    at: Instant,
    answer: Receiver<Answer>,
    /// Where the answer arrives, if the call was posted on a board.
    posted: Option<(Arc<BoardWriter>, Entry)>,
    /// It was posted before the last call was answered.
    chained: bool,
    /// Its answer is read by the thread that waits for it.
    aside: Option<Aside>,
}

impl RemoteDriver {
    pub(crate) fn new(
        connection: Arc<Connection>,
        calls: Arc<Calls>,
        party: u64,
        terms: Terms,
        agent: Arc<Agent>,
    ) -> Self {
        Self { connection, calls, party, terms, agent, begun: VecDeque::new(), took: None }
    }

    /// Sends a call. `now` says that its answer is waited for at once.
    fn send(&self, notice: &Notice, now: bool) -> Result<Option<Begun>, MessageError> {
        if let Some(begun) = self.post(notice, false) {
            return Ok(begun);
        }
        let (serial, call) = self.call(notice)?;
        let left = self.agent.left();
        if *left {
            return Ok(None);
        }
        let answer = self.connection.pending.expect(serial, !self.terms.concurrent);
        // Before the call is sent, unless another party is waited for first: this peer may make requests meanwhile.
        let aside = now.then(|| self.connection.route.set_aside()).flatten();
        let at = Instant::now();
        self.connection.send_bytes(&call);
        Ok(Some(Begun { serial, at, answer, posted: None, chained: false, aside }))
    }

    /// Posts a call on the board. `None` if there is none, or no room on it: then it is sent as a message.
    fn post(&self, notice: &Notice, chained: bool) -> Option<Option<Begun>> {
        let board = self.connection.board().filter(|_| self.terms.over_board)?;
        let (number, Route::Own(outbox)) = (self.agent.path.number()?, &self.connection.route)
        else {
            return None;
        };
        let (serial, party) = (self.calls.next(), PartyId(self.party));
        let left = self.agent.left();
        if *left {
            return Some(None);
        }
        let pending = &self.connection.pending;
        let answer = pending.expect(serial, !self.terms.concurrent);
        let at = Instant::now();
        let call = Call {
            serial: serial.get(),
            agent: number,
            party,
            notice: *notice,
            after: outbox.total(),
            // Only this driver and the service have the calls.
            alone: Arc::strong_count(&self.calls) == 2,
            chained,
        };
        let Some(entry) = board.post(&call) else {
            pending.forget(serial);
            return None;
        };
        pending.posted(serial, board, entry);
        let posted = Some((Arc::clone(board), entry));
        Some(Some(Begun { serial, at, answer, posted, chained, aside: None }))
    }

    /// The call for this notice, if it was begun. Calls that were begun and are not asked for come from a replay that was refused:
    /// the agent has skipped them.
    fn take(&mut self, notice: &Notice) -> Option<Begun> {
        let asked_for = (notice.state(), notice.processor());
        match self.begun.pop_front()? {
            (state, processor, begun) if (state, processor) == asked_for => begun,
            other => {
                self.begun.push_front(other);
                self.forget_all();
                None
            }
        }
    }

    /// Stops waiting for the answers to all calls that were begun.
    fn forget_all(&mut self) {
        for (_, _, begun) in self.begun.drain(..) {
            if let Some(begun) = begun {
                self.connection.pending.forget(begun.serial);
            }
        }
    }

    /// The call for a notice, and its serial.
    fn call(&self, notice: &Notice) -> Result<(NonZeroU32, Vec<u8>), MessageError> {
        let path = &self.agent.path;
        self.calls.make(self.connection.addressing(), path, self.party, notice)
    }

    /// Waits for an answer that comes as a message.
    fn message(&self, begun: &mut Begun, limit: Duration) -> Result<Answer, RecvTimeoutError> {
        let left = || limit.saturating_sub(begun.at.elapsed());
        let aside = begun.aside.take().or_else(|| self.connection.route.set_aside());
        // Everything that was read before it was set aside is delivered.
        if let Ok(answer) = begun.answer.try_recv() {
            return Ok(answer);
        }
        if let Some(aside) = aside
            && aside.takes_agreement(begun.serial, WATCH.min(left()))
        {
            self.connection.pending.forget(begun.serial);
            return Ok(Answer::Agreed(Instant::now()));
        }
        begun.answer.recv_timeout(left())
    }

    /// Accepts an agreement on the board when everything that arrived on the connection was handled. A peer that has closed the
    /// connection, or sent bytes that are not a message, does not agree.
    fn confirm(&self, begun: &Begun, until: Instant) -> Result<Answer, RecvTimeoutError> {
        let at = Instant::now();
        loop {
            let is_quiet = match &self.connection.route {
                Route::Own(outbox) => outbox.is_quiet(),
                Route::Bus(_) => true,
            };
            if is_quiet {
                return begun.answer.try_recv().or(Ok(Answer::Agreed(at)));
            }
            if Instant::now() >= until {
                return Err(RecvTimeoutError::Timeout);
            }
            // The input is handled on the connections' thread, which has no reason to report most of it.
            match begun.answer.recv_timeout(CONFIRM) {
                Err(RecvTimeoutError::Timeout) => {}
                answer => return answer,
            }
        }
    }

    /// Waits for the answer to a call that was sent.
    fn wait(&mut self, begun: &mut Begun, state: State) -> Result<(), Veto> {
        let limit = self.terms.time_limit;
        // An agent begins with a chained call when it has answered the last one.
        let since = if begun.chained { Instant::now() } else { begun.at };
        let answer = match &begun.posted {
            Some((board, entry)) => {
                let until = since + limit;
                let answer = board.wait(*entry, until, || begun.answer.try_recv().ok());
                let answer = match answer {
                    Outcome::Agreed => self.confirm(begun, until),
                    Outcome::Interrupted(answer) => Ok(answer),
                    Outcome::Late => Err(RecvTimeoutError::Timeout),
                };
                // A party that has left at its own request refuses nothing by closing its connection afterwards (D3). A call may
                // have been posted before its request arrived. The end of the service is not such a request: a party that was being
                // asked has then refused.
                let answer = match answer {
                    Ok(Answer::Lost(_)) if self.agent.left_at_its_request() => {
                        Ok(Answer::Agreed(Instant::now()))
                    }
                    answer => answer,
                };
                self.connection.pending.forget(begun.serial);
                answer
            }
            None => self.message(begun, limit),
        };
        match answer {
            Ok(Answer::Agreed(at)) => {
                self.took = Some(at.saturating_duration_since(since));
                Ok(())
            }
            Ok(Answer::Reply(reply, at)) => {
                self.took = Some(at.saturating_duration_since(since));
                judge(&reply, state)
            }
            Ok(Answer::Lost(loss)) => Err(loss.crash()),
            Err(RecvTimeoutError::Timeout) => {
                self.connection.pending.forget(begun.serial);
                Err(Veto::crash(Status::IO_TIMEOUT, format!("no answer in {}", span(limit))))
            }
            // This happens only if the connection's own task has failed.
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
        // If sending fails now, `notify` sends again and reports the error.
        let begun = if self.begun.is_empty() {
            self.send(notice, false).unwrap_or_default()
        } else {
            self.post(notice, true).flatten()
        };
        self.begun.push_back((notice.state(), notice.processor(), begun));
    }

    fn begins_ahead(&self) -> bool {
        let posted =
            |begun: &Option<Begun>| begun.as_ref().is_some_and(|begun| begun.posted.is_some());
        // Behind one that is not on the board nothing is posted, so that the order is kept.
        self.terms.over_board
            && self.begun.len() < AHEAD
            && self.begun.back().is_none_or(|(_, _, begun)| posted(begun))
    }

    fn answered_in(&self) -> Option<Duration> {
        self.took
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        let begun = match self.take(notice) {
            Some(begun) => Some(begun),
            None => {
                self.took = None;
                self.send(notice, true).map_err(|error| {
                    Loss {
                        status: Status::INVALID_NETWORK_RESPONSE,
                        reason: format!("it could not be called: {error}"),
                    }
                    .crash()
                })?
            }
        };
        // Nothing is sent to an agent that has deregistered. It counts as agreeing.
        let Some(mut begun) = begun else { return Ok(()) };
        let answer = self.wait(&mut begun, notice.state());
        if let Err(veto) = &answer
            && veto.is_crash()
        {
            self.agent.crashed(veto);
        }
        answer
    }
}

impl Drop for RemoteDriver {
    fn drop(&mut self) {
        self.forget_all();
    }
}

impl Removal for RemoteDriver {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}

/// Converts a reply to an agreement or a veto.
pub(crate) fn judge(reply: &Message, state: State) -> Result<(), Veto> {
    let (status, error, crashed, reason) = match read_answer(reply, state) {
        AgentAnswer::Agreed => return Ok(()),
        AgentAnswer::Unreadable(why) => {
            return Err(Veto::crash(Status::INVALID_NETWORK_RESPONSE, why));
        }
        AgentAnswer::Refused { status, error, crashed, reason } => (status, error, crashed, reason),
    };
    let reason = reason.map(|reason| presentable(&reason)).filter(|reason| !reason.is_empty());
    let reason = reason.unwrap_or_else(|| match (status.sentence(), error) {
        (_, Some(name)) => format!("it answered with the error {name}"),
        (Some(sentence), None) => sentence.to_owned(),
        (None, None) => "no reason given".to_owned(),
    });
    Err(if crashed { Veto::crash(status, reason) } else { Veto::new(status, reason) })
}
