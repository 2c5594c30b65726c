//! The requests that wait for somebody: each has a thread of its own, and answers from there.

use std::sync::Arc;
use std::time::Duration;

use hotadd::wire::{self, MAX_MESSAGE, MAX_REASON, MAX_TIME_LIMIT_MS, WireProcessor};
use hotadd::{Answer, Batch, Change, Error, HardwareId, Status};
use zbus::Message;
use zbus::zvariant::OwnedObjectPath;

use crate::absent;
use crate::access::Right;
use crate::bus::MOST_PARTIES;
use crate::connection::{Connection, UnderWay};
use crate::dispatch::unknown_method;
use crate::host::rights::{Rights, Trespass};
use crate::ledger;
use crate::lock;
use crate::missing;
use crate::remote::{Agent, RemoteDriver, Terms};
use crate::reply::{self, Refusal, Reply, answer, arguments, no_arguments};

/// How long a party may take over an answer if it does not say.
const TIME_LIMIT_MS: u32 = 5_000;

/// How many processors one batch may have: its results must fit into a message.
const MOST_IN_BATCH: usize = 512;

/// What a result of a batch, or an answer of a rehearsal, takes in a message besides its text: numbers, names, and what aligns them.
const RESULT_BYTES: usize = 160;

/// How much of a message may be something else than results.
const HEADER_BYTES: usize = 1024;

/// The flags of Register.
const KNOWN: u32 = wire::LATER_ONLY | wire::REMOVAL | wire::WITH_SET | wire::CONCURRENT;

/// What is asked for.
pub(crate) enum Request {
    Register(Register),
    Add(HardwareId),
    AddBatch(Vec<HardwareId>, Batch),
    Remove(HardwareId),
    Rehearse(HardwareId),
    GetCandidates,
    GetMissing,
    RestartParty(String),
    GetHistory(usize),
    GetAbsent(u32),
}

/// The arguments of Register.
pub(crate) struct Register {
    name: String,
    level: i32,
    later_only: bool,
    agent: OwnedObjectPath,
    terms: Terms,
}

impl Request {
    /// What it does, if it waits for every party to be done with what it is asked (D3).
    const fn doing(&self) -> Option<&'static str> {
        match self {
            Self::Register(_) => Some("registering"),
            Self::Add(_) | Self::AddBatch(..) => Some("adding"),
            Self::Remove(_) => Some("removing"),
            Self::Rehearse(_) => Some("rehearsing"),
            Self::RestartParty(_) => Some("restarting a party"),
            Self::GetCandidates | Self::GetMissing | Self::GetHistory(_) | Self::GetAbsent(_) => {
                None
            }
        }
    }
}

/// A request that was read and can be done. Whether it may be is for whoever has it to find out.
pub(crate) struct Prepared {
    under_way: UnderWay,
    call: Message,
    request: Request,
    right: Right,
    thread: &'static str,
}

/// Reads a request.
///
/// # Errors
/// If there is no such method, its arguments are wrong, it would wait for the very call that it comes from (D3), or too
/// many are under way.
pub(crate) fn prepare(
    connection: &Arc<Connection>,
    call: &Message,
    method: &str,
) -> Result<Prepared, Refusal> {
    let right = Right::to_call(method).ok_or_else(|| unknown_method(method))?;
    let (request, thread) = read(call, method)?;
    // Here, and not when it begins: until then an agent may have been asked something else.
    if let Some(doing) = request.doing()
        && connection.pending.is_inside()
    {
        return Err(Error::InsideCallback(doing).into());
    }
    let too_many = || Refusal::Limit("too many requests are under way".to_owned());
    let under_way = connection.begin_request().ok_or_else(too_many)?;
    Ok(Prepared { under_way, call: call.clone(), request, right, thread })
}

/// What a call asks for, and the name of the thread that does it.
pub(crate) fn read(call: &Message, method: &str) -> Result<(Request, &'static str), Refusal> {
    let body = call.body();
    let id = || arguments::<u32>(&body).map(HardwareId);
    Ok(match method {
        "Register" => (Request::Register(read_register(call)?), "hotadd-register"),
        "Add" => (Request::Add(id()?), "hotadd-add"),
        "AddBatch" => (read_batch(call)?, "hotadd-batch"),
        "Remove" => (Request::Remove(id()?), "hotadd-remove"),
        "Rehearse" => (Request::Rehearse(id()?), "hotadd-rehearse"),
        // They may have to wait for the platform.
        "GetCandidates" => {
            no_arguments(call).map(|()| (Request::GetCandidates, "hotadd-candidates"))?
        }
        "GetMissing" => no_arguments(call).map(|()| (Request::GetMissing, "hotadd-missing"))?,
        "RestartParty" => (Request::RestartParty(arguments(&body)?), "hotadd-restart"),
        "GetHistory" => {
            let most = usize::try_from(arguments::<u32>(&body)?).unwrap_or(usize::MAX);
            (Request::GetHistory(most), "hotadd-history")
        }
        "GetAbsent" => (Request::GetAbsent(arguments(&body)?), "hotadd-absent"),
        other => return Err(unknown_method(other)),
    })
}

impl Prepared {
    /// What it takes to ask for it.
    pub(crate) const fn right(&self) -> Right {
        self.right
    }

    /// Has a driver's process be no more than its driver.
    pub(crate) fn hold_to(&mut self, rights: &Rights) -> Result<(), Trespass> {
        let has = self.under_way.connection.parties.count();
        if let Request::Register(register) = &mut self.request {
            rights.registers(&register.name, has)?;
            register.level = rights.level;
            register.terms.time_limit = rights.time_limit;
        }
        Ok(())
    }

    pub(crate) const fn call(&self) -> &Message {
        &self.call
    }

    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.under_way.connection
    }

    /// Begins with it, on a thread of its own, which answers.
    pub(crate) fn begin(self) {
        let registering = matches!(self.request, Request::Register(_));
        let connection = Arc::clone(self.connection());
        if registering && connection.is_on_full_bus() {
            let why = format!("a bus has at most {MOST_PARTIES} parties of a machine's partition");
            return self.refuse(Refusal::Limit(format!("{why}; its socket has no such limit")));
        }
        if registering && !connection.parties.reserve() {
            let why = "this connection has its limit of parties".to_owned();
            return self.refuse(Refusal::Limit(why));
        }
        let Self { under_way, call, request, thread, .. } = self;
        let unbegun = call.clone();
        let work = move || {
            let connection = &under_way.connection;
            let reply = serve(connection, &call, request);
            connection.reply(&call, reply);
        };
        if let Err(error) = std::thread::Builder::new().name(thread.to_owned()).spawn(work) {
            if registering {
                connection.parties.cancel();
            }
            let refusal = Refusal::Limit(format!("no thread for it: {error}"));
            connection.reply(&unbegun, Err(refusal));
        }
    }

    /// Answers it with an error.
    pub(crate) fn refuse(self, refusal: Refusal) {
        self.connection().reply(&self.call, Err(refusal));
    }
}

fn read_register(call: &Message) -> Result<Register, Refusal> {
    let body = call.body();
    let (agent, name, flags, level, limit) =
        arguments::<(OwnedObjectPath, String, u32, i32, u32)>(&body)?;
    let invalid = |what: String| Err(Refusal::Standard("InvalidArgs", what));
    let unknown = flags & !KNOWN;
    if unknown != 0 {
        return invalid(format!("the flags 0x{unknown:x} are not known"));
    }
    if limit > MAX_TIME_LIMIT_MS {
        return invalid(format!("a time limit of {limit} ms; {MAX_TIME_LIMIT_MS} are the most"));
    }
    let limit = if limit == 0 { TIME_LIMIT_MS } else { limit };
    let terms = Terms {
        removal: flags & wire::REMOVAL != 0,
        with_set: flags & wire::WITH_SET != 0,
        concurrent: flags & wire::CONCURRENT != 0,
        time_limit: Duration::from_millis(u64::from(limit)),
    };
    Ok(Register { name, level, later_only: flags & wire::LATER_ONLY != 0, agent, terms })
}

fn read_batch(call: &Message) -> Result<Request, Refusal> {
    let body = call.body();
    let (ids, atomic) = arguments::<(Vec<u32>, bool)>(&body)?;
    if ids.len() > MOST_IN_BATCH {
        return Err(Refusal::Limit(format!("a batch has {MOST_IN_BATCH} processors at most")));
    }
    let batch = if atomic { Batch::Atomic } else { Batch::Each };
    Ok(Request::AddBatch(ids.into_iter().map(HardwareId).collect(), batch))
}

fn serve(connection: &Arc<Connection>, call: &Message, request: Request) -> Reply {
    let partition = &connection.core.partition;
    let changed =
        |Change { processor, epoch }| answer(call, &(wire::processor(processor), epoch.0));
    match request {
        Request::Register(request) => register(connection, call, request),
        Request::Add(id) => changed(partition.add(id)?),
        Request::AddBatch(ids, batch) => {
            let most = text_bytes(ids.len());
            let results = partition.add_batch(&ids, batch);
            let row = |(id, result)| batch_row(id, result, most);
            answer(call, &results.into_iter().map(row).collect::<Vec<_>>())
        }
        Request::Remove(id) => changed(partition.remove(id)?),
        Request::Rehearse(id) => {
            let rehearsal = partition.rehearse(id)?;
            let most = text_bytes(rehearsal.answers.len());
            let row = |given| answer_row(given, most);
            let answers: Vec<_> = rehearsal.answers.into_iter().map(row).collect();
            answer(call, &(wire::processor(rehearsal.processor), answers))
        }
        Request::GetCandidates => {
            let candidates: Vec<u32> = partition.candidates()?.iter().map(|id| id.0).collect();
            answer(call, &candidates)
        }
        Request::GetMissing => answer(call, &missing::rows(partition.missing()?)),
        Request::RestartParty(name) => {
            missing::restart(connection, &name)?;
            answer(call, &())
        }
        Request::GetHistory(most) => {
            let latest = lock(&connection.core.ledger).latest(most);
            answer(call, &ledger::lines(&latest))
        }
        Request::GetAbsent(first) => {
            let absent = lock(&connection.core.ledger).absent(first);
            answer(call, &absent.into_iter().map(absent::row).collect::<Vec<_>>())
        }
    }
}

fn register(connection: &Arc<Connection>, call: &Message, request: Register) -> Reply {
    let core = &connection.core;
    let Register { name, level, later_only, agent, terms } = request;
    let mut registering = core.partition.party(&name).level(level).at_once();
    if later_only {
        registering = registering.later_only();
    }
    if let Some(named) = &connection.named {
        registering = registering.required(named.party());
    }
    let agent = Arc::new(Agent::new(agent));
    let mut party = None;
    let registered = registering.register_with(|id| {
        party = Some(id.0);
        lock(&core.ledger).announce(id.0, Arc::downgrade(connection), terms.time_limit);
        let connection = Arc::clone(connection);
        RemoteDriver::new(connection, core.partition.clone(), id.0, terms, Arc::clone(&agent))
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
    connection.enroll(registration, agent);
    answer(call, &(party, epoch))
}

/// How long a text in each of so many rows may be, for all to fit into one message.
fn text_bytes(rows: usize) -> usize {
    ((MAX_MESSAGE - HEADER_BYTES) / rows.max(1)).saturating_sub(RESULT_BYTES).min(MAX_REASON)
}

/// A result of a batch: id, whether it joined, the processor, the epoch; and the error's name, message, status, errno,
/// party.
type BatchRow = (u32, bool, WireProcessor, u64, String, String, u32, u32, String);

fn batch_row(id: HardwareId, result: Result<Change, Error>, most: usize) -> BatchRow {
    match result {
        Ok(Change { processor, epoch }) => {
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

/// An answer of a rehearsal: id, name, level, whether it agreed, status, reason, microseconds.
fn answer_row(answer: Answer, most: usize) -> (u64, String, i32, bool, u32, String, u64) {
    let Answer { party, answer, took } = answer;
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let (status, reason) = match &answer {
        Ok(()) => (Status::SUCCESS, String::new()),
        Err(veto) => (veto.status(), wire::text(veto.reason(), most)),
    };
    (party.id.0, party.name, party.level.0, answer.is_ok(), status.to_raw(), reason, micros)
}
