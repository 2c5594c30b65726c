//! The requests that wait: each runs on a thread of its own, which sends the reply.

use std::sync::Arc;
use std::time::Duration;

use hotadd::{Answer, Batch, Change, Error, HardwareId, Rehearsal, Status};
use hotadd_wire::{
    self as wire, AnswerRow, BatchRow, Message, Register, Request, RequestError, row_text,
};

use crate::access::policy::Right;
use crate::access::rights::{Rights, Trespass};
use crate::lock::lock;
use crate::object::ledger;
use crate::object::reply::{self, Refusal, Reply, answer};
use crate::object::session::{MOST_PARTIES, Session, UnderWay};
use crate::parties::agent::Agent;
use crate::parties::driver::{RemoteDriver, Terms};
use crate::parties::{missing, removed};

/// A party's time limit in milliseconds if it gives none.
const TIME_LIMIT_MS: u32 = 5_000;

/// Names the action of a request that waits until every party has answered (D3).
const fn doing(request: &Request) -> Option<&'static str> {
    match request {
        Request::Register(_) => Some("registering"),
        Request::Add(_) | Request::AddBatch(..) => Some("adding"),
        Request::Remove(_) => Some("removing"),
        Request::Rehearse(_) | Request::RehearseRemoval(_) => Some("rehearsing"),
        Request::RestartParty(_) => Some("restarting a party"),
        _ => None,
    }
}

/// The name of the thread that runs a request.
const fn thread(request: &Request) -> &'static str {
    match request {
        Request::Register(_) => "hotadd-register",
        Request::Add(_) => "hotadd-add",
        Request::AddBatch(..) => "hotadd-batch",
        Request::Remove(_) => "hotadd-remove",
        Request::Rehearse(_) | Request::RehearseRemoval(_) => "hotadd-rehearse",
        Request::RestartParty(_) => "hotadd-restart",
        // These may wait for the platform.
        Request::GetCandidates => "hotadd-candidates",
        Request::GetMissing => "hotadd-missing",
        Request::GetHistory(_) | Request::GetEvents(_) => "hotadd-history",
        _ => "hotadd-absent",
    }
}

/// A request that was read and can be run. The caller checks whether it is allowed.
pub(crate) struct Prepared {
    under_way: UnderWay,
    call: Message,
    request: Request,
    right: Right,
    /// For the process of a driver: its time limit, whatever it requests.
    time_limit: Option<Duration>,
}

/// Prepares a request.
///
/// # Errors
/// If the request would wait for the call that it comes from (D3), or if too many are in progress.
pub(crate) fn prepare(
    session: &Arc<Session>,
    call: &Message,
    request: Request,
) -> Result<Prepared, Refusal> {
    // This is checked here and not in `begin`: until then the agent may have been asked something else.
    if let Some(doing) = doing(&request)
        && session.connection.pending.is_inside()
    {
        return Err(Error::InsideCallback(doing).into());
    }
    let too_many = || Refusal::Limit("too many requests are in progress".to_owned());
    let under_way = session.begin_request().ok_or_else(too_many)?;
    // A method that `to_call` does not know needs the right to change.
    let right = Right::to_call(call.head().member()).unwrap_or(Right::Change);
    Ok(Prepared { under_way, call: call.clone(), request, right, time_limit: None })
}

impl Prepared {
    /// The right that the request needs.
    pub(crate) const fn right(&self) -> Right {
        self.right
    }

    /// Whether a user may be asked for a password meanwhile, as the call's flag says.
    pub(crate) fn is_interactive(&self) -> bool {
        self.call.is_interactive()
    }

    /// Limits the request of a driver's process to what its driver may do.
    pub(crate) fn hold_to(&mut self, rights: &Rights) -> Result<(), Trespass> {
        let has = self.under_way.session.connection.parties.count();
        if let Request::Register(register) = &mut self.request {
            rights.registers(&register.name, has)?;
            register.level = rights.level;
            self.time_limit = Some(rights.time_limit);
        }
        Ok(())
    }

    /// Runs the request or refuses it, according to the verdict.
    pub(crate) fn settle(self, verdict: Result<(), RequestError>) {
        match verdict {
            Ok(()) => self.begin(),
            Err(error) => self.refuse(error.into()),
        }
    }

    /// Runs the request on a thread of its own, which sends the reply.
    pub(crate) fn begin(self) {
        let registering = matches!(self.request, Request::Register(_));
        let session = Arc::clone(&self.under_way.session);
        if registering && session.is_on_full_bus() {
            let why =
                format!("at most {MOST_PARTIES} parties of a machine's partition may be on a bus");
            return self.refuse(Refusal::Limit(format!(
                "{why}; the partition's socket has no such limit"
            )));
        }
        if registering && !session.connection.parties.reserve() {
            let why = "this connection has reached its limit of parties".to_owned();
            return self.refuse(Refusal::Limit(why));
        }
        let Self { under_way, call, request, time_limit, .. } = self;
        let (unbegun, thread) = (call.clone(), thread(&request));
        let work = move || {
            let session = &under_way.session;
            let reply = serve(session, &call, request, time_limit);
            session.reply(&call, reply);
        };
        if let Err(error) = std::thread::Builder::new().name(thread.to_owned()).spawn(work) {
            if registering {
                session.connection.parties.cancel();
            }
            let refusal =
                Refusal::Limit(format!("no thread can be started for the request: {error}"));
            session.reply(&unbegun, Err(refusal));
        }
    }

    /// Replies with an error.
    fn refuse(self, refusal: Refusal) {
        self.under_way.session.reply(&self.call, Err(refusal));
    }
}

fn serve(
    session: &Arc<Session>,
    call: &Message,
    request: Request,
    time_limit: Option<Duration>,
) -> Reply {
    let core = &session.core;
    let partition = &core.partition;
    let changed =
        |Change { processor, epoch, .. }| answer(call, &(wire::processor(processor), epoch.0));
    match request {
        Request::Register(request) => register(session, call, request, time_limit),
        Request::Add(id) => changed(partition.add(id)?),
        Request::AddBatch(ids, atomic) => {
            let batch = if atomic { Batch::Atomic } else { Batch::Each };
            let most = row_text(ids.len());
            let results = partition.add_batch(&ids, batch);
            let row = |(id, result)| batch_row(id, result, most);
            answer(call, &results.into_iter().map(row).collect::<Vec<_>>())
        }
        Request::Remove(id) => changed(partition.remove(id)?),
        Request::Rehearse(id) => rehearsed(call, partition.rehearse(id)?),
        Request::RehearseRemoval(id) => rehearsed(call, partition.rehearse_removal(id)?),
        Request::GetCandidates => {
            let candidates: Vec<u32> = partition.candidates()?.iter().map(|id| id.0).collect();
            answer(call, &candidates)
        }
        Request::GetMissing => answer(call, &missing::rows(partition.missing()?)),
        Request::RestartParty(name) => {
            missing::restart(core.restart.get(), &name)?;
            answer(call, &())
        }
        Request::GetHistory(most) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let latest = lock(&core.ledger).latest(most);
            answer(call, &ledger::lines(&latest))
        }
        Request::GetEvents(from) => {
            let (first, kept) = lock(&core.ledger).since(from);
            answer(call, &(first, ledger::earliest(&kept)))
        }
        Request::GetAbsent(first) => {
            let absent = lock(&core.ledger).absent(first);
            answer(call, &absent.into_iter().map(removed::row).collect::<Vec<_>>())
        }
        // These requests do not wait, and were answered at once.
        Request::Deregister(_)
        | Request::GetSet
        | Request::GetPage
        | Request::OpenBoard
        | Request::GetParties
        | Request::GetWaiting => answer(call, &()),
    }
}

fn rehearsed(call: &Message, rehearsal: Rehearsal) -> Reply {
    let most = row_text(rehearsal.answers.len());
    let answers = rehearsal.answers.into_iter().map(|given| answer_row(given, most));
    answer(call, &(wire::processor(rehearsal.processor), answers.collect::<Vec<_>>()))
}

fn register(
    session: &Arc<Session>,
    call: &Message,
    request: Register,
    time_limit: Option<Duration>,
) -> Reply {
    let (core, connection) = (&session.core, &session.connection);
    let Register { agent, name, flags, level, time_limit_ms } = request;
    let limit = if time_limit_ms == 0 { TIME_LIMIT_MS } else { time_limit_ms };
    let terms = Terms {
        removal: flags & wire::REMOVAL != 0,
        over_board: flags & wire::BOARD != 0,
        concurrent: flags & wire::CONCURRENT != 0,
        time_limit: time_limit.unwrap_or(Duration::from_millis(u64::from(limit))),
    };
    let mut registering = core.partition.registration(&name).level(level);
    registering = registering.at_once().unless(&connection.is_closed);
    if flags & wire::LATER_ONLY != 0 {
        registering = registering.without_replay();
    }
    if let Some(named) = &connection.named {
        registering = registering.required(named.party());
    }
    let agent = Arc::new(Agent::new(agent));
    let mut party = None;
    let registered = registering.register_with(|id| {
        party = Some(id.0);
        lock(&core.ledger).announce(id.0, Arc::downgrade(connection), terms.time_limit);
        let (connection, calls) = (Arc::clone(connection), Arc::clone(&core.calls));
        RemoteDriver::new(connection, calls, id.0, terms, Arc::clone(&agent))
    });
    let registration = match registered {
        Ok(registration) => registration,
        Err(error) => {
            connection.parties.cancel();
            if let Some(party) = party {
                lock(&core.ledger).strike(party);
            }
            return Err(error.into());
        }
    };
    let (party, epoch) = (registration.party().id.0, registration.epoch().0);
    session.enroll(registration, agent);
    answer(call, &(party, epoch))
}

fn batch_row(id: HardwareId, result: Result<Change, Error>, most: usize) -> BatchRow {
    match result {
        Ok(Change { processor, epoch, .. }) => {
            let none = String::new;
            (id.0, true, wire::processor(processor), epoch.0, none(), none(), 0, 0, none())
        }
        Err(error) => {
            let name = format!("{}{}", wire::ERROR, reply::name(&error));
            let (message, status, errno, _, party) = reply::body(&error);
            let message = wire::text(&message, most);
            (id.0, false, (0, 0, 0, id.0), 0, name, message, status, errno, party)
        }
    }
}

fn answer_row(answer: Answer, most: usize) -> AnswerRow {
    let Answer { party, answer, took, .. } = answer;
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (status, reason) = match &answer {
        Ok(()) => (Status::SUCCESS, String::new()),
        Err(veto) => (veto.status(), wire::text(veto.reason(), most)),
    };
    (party.id.0, party.name, party.level.0, answer.is_ok(), status.to_raw(), reason, micros)
}
