//! [`Request`]: a peer's request to a partition, as the agent client encodes it and the service decodes it.

use hotadd_core::HardwareId;

use crate::arguments::{StandardError, arguments, no_arguments, unknown_method};
use crate::calls::AgentPath;
use crate::limits::{MAX_BATCH, MAX_TIME_LIMIT_MS};
use crate::message::{Message, MessageError};
use crate::names::{AGENT_PATH, BOARD, CONCURRENT, LATER_ONLY, PARTITION, PARTITION_PATH, REMOVAL};

/// The flags of Register.
const KNOWN: u32 = LATER_ONLY | REMOVAL | BOARD | CONCURRENT;

/// A call of a method of `org.hotadd.Partition1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Registers a party.
    Register(Register),
    /// Deregisters a party of the connection.
    Deregister(u64),
    /// Adds a processor.
    Add(HardwareId),
    /// Adds several processors; if the flag is set, all of them or none.
    AddBatch(Vec<HardwareId>, bool),
    /// Removes a processor.
    Remove(HardwareId),
    /// Rehearses an add.
    Rehearse(HardwareId),
    /// Rehearses a removal.
    RehearseRemoval(HardwareId),
    /// Returns the active set.
    GetSet,
    /// Returns a descriptor of the page with the active set.
    GetPage,
    /// Returns the two descriptors of the connection's board.
    OpenBoard,
    /// Returns the parties.
    GetParties,
    /// Returns the parties that are being waited for.
    GetWaiting,
    /// Returns the processors that could be added.
    GetCandidates,
    /// Returns the required parties that are missing.
    GetMissing,
    /// Restarts a party.
    RestartParty(String),
    /// Returns the latest events, at most this many.
    GetHistory(u32),
    /// Returns the events from this number on.
    GetEvents(u64),
    /// Returns why processors are not active, starting with this one.
    GetAbsent(u32),
}

/// The arguments of Register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The object path of the agent.
    pub agent: AgentPath,
    /// The party's name.
    pub name: String,
    /// Flags, such as [`LATER_ONLY`].
    pub flags: u32,
    /// The party's level.
    pub level: i32,
    /// The party's time limit; 0 for the partition's own limit.
    pub time_limit_ms: u32,
}

/// Why a call is not a valid request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A standard D-Bus error.
    #[error(transparent)]
    Standard(#[from] StandardError),
    /// The request exceeds a limit.
    #[error("{0}")]
    Limit(String),
}

impl Request {
    /// Encodes the call.
    ///
    /// # Errors
    /// If an argument cannot be sent, such as a text with a NUL.
    pub fn call(&self) -> Result<Message, MessageError> {
        match self {
            Self::Register(Register { agent, name, flags, level, time_limit_ms }) => {
                let arguments = (agent.object(), name.as_str(), *flags, *level, *time_limit_ms);
                call("Register", &arguments)
            }
            Self::Deregister(party) => call("Deregister", party),
            Self::Add(id) => call("Add", &id.0),
            Self::AddBatch(ids, atomic) => {
                let ids: Vec<u32> = ids.iter().map(|id| id.0).collect();
                call("AddBatch", &(ids, *atomic))
            }
            Self::Remove(id) => call("Remove", &id.0),
            Self::Rehearse(id) => call("Rehearse", &id.0),
            Self::RehearseRemoval(id) => call("RehearseRemoval", &id.0),
            Self::GetSet => call("GetSet", &()),
            Self::GetPage => call("GetPage", &()),
            Self::OpenBoard => call("OpenBoard", &()),
            Self::GetParties => call("GetParties", &()),
            Self::GetWaiting => call("GetWaiting", &()),
            Self::GetCandidates => call("GetCandidates", &()),
            Self::GetMissing => call("GetMissing", &()),
            Self::RestartParty(name) => call("RestartParty", name),
            Self::GetHistory(most) => call("GetHistory", most),
            Self::GetEvents(from) => call("GetEvents", from),
            Self::GetAbsent(first) => call("GetAbsent", first),
        }
    }

    /// Decodes a call of this method.
    ///
    /// # Errors
    /// If there is no such method, or its arguments are wrong.
    pub fn read(call: &Message, method: &str) -> Result<Self, RequestError> {
        let id = || arguments::<u32>(call).map(HardwareId);
        let nothing = |request| no_arguments(call).map(|()| request);
        Ok(match method {
            "Register" => Self::Register(Register::read(call)?),
            "Deregister" => Self::Deregister(arguments(call)?),
            "Add" => Self::Add(id()?),
            "AddBatch" => {
                let (ids, atomic) = arguments::<(Vec<u32>, bool)>(call)?;
                if ids.len() > MAX_BATCH {
                    let most = format!("a batch has at most {MAX_BATCH} processors");
                    return Err(RequestError::Limit(most));
                }
                Self::AddBatch(ids.into_iter().map(HardwareId).collect(), atomic)
            }
            "Remove" => Self::Remove(id()?),
            "Rehearse" => Self::Rehearse(id()?),
            "RehearseRemoval" => Self::RehearseRemoval(id()?),
            "GetSet" => nothing(Self::GetSet)?,
            "GetPage" => nothing(Self::GetPage)?,
            "OpenBoard" => nothing(Self::OpenBoard)?,
            "GetParties" => nothing(Self::GetParties)?,
            "GetWaiting" => nothing(Self::GetWaiting)?,
            "GetCandidates" => nothing(Self::GetCandidates)?,
            "GetMissing" => nothing(Self::GetMissing)?,
            "RestartParty" => Self::RestartParty(arguments(call)?),
            "GetHistory" => Self::GetHistory(arguments(call)?),
            "GetEvents" => Self::GetEvents(arguments(call)?),
            "GetAbsent" => Self::GetAbsent(arguments(call)?),
            other => return Err(unknown_method(other).into()),
        })
    }
}

impl Register {
    fn read(call: &Message) -> Result<Self, StandardError> {
        let (agent, name, flags, level, time_limit_ms) = arguments(call)?;
        let invalid = |what: String| Err(StandardError("InvalidArgs", what));
        let unknown = flags & !KNOWN;
        if unknown != 0 {
            return invalid(format!("the flags 0x{unknown:x} are unknown"));
        }
        if time_limit_ms > MAX_TIME_LIMIT_MS {
            return invalid(format!(
                "the time limit is {time_limit_ms} ms; the maximum is {MAX_TIME_LIMIT_MS} ms"
            ));
        }
        let agent = AgentPath::new(agent);
        if flags & BOARD != 0 && agent.number().is_none() {
            return invalid(format!("an agent that is called on a board has a path {AGENT_PATH}N"));
        }
        Ok(Self { agent, name, flags, level, time_limit_ms })
    }
}

fn call(method: &str, arguments: &impl crate::Encode) -> Result<Message, MessageError> {
    Message::call(PARTITION_PATH, PARTITION, method, arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(flags: u32, time_limit_ms: u32) -> Request {
        let agent = AgentPath::parse("/org/hotadd/Agent/1").unwrap();
        let name = "pool".to_owned();
        Request::Register(Register { agent, name, flags, level: -3, time_limit_ms })
    }

    #[test]
    fn a_request_survives_encoding_and_decoding() {
        let ids = vec![HardwareId(1), HardwareId(7)];
        let all = [
            register(LATER_ONLY | BOARD, 0),
            register(REMOVAL | CONCURRENT, MAX_TIME_LIMIT_MS),
            Request::Deregister(u64::MAX),
            Request::Add(HardwareId(3)),
            Request::AddBatch(ids, true),
            Request::AddBatch(Vec::new(), false),
            Request::Remove(HardwareId(3)),
            Request::Rehearse(HardwareId(3)),
            Request::RehearseRemoval(HardwareId(3)),
            Request::GetSet,
            Request::GetPage,
            Request::OpenBoard,
            Request::GetParties,
            Request::GetWaiting,
            Request::GetCandidates,
            Request::GetMissing,
            Request::RestartParty("pool".to_owned()),
            Request::GetHistory(10),
            Request::GetEvents(u64::MAX),
            Request::GetAbsent(4),
        ];
        for request in all {
            let call = request.call().unwrap();
            let (path, interface) =
                (call.head().path().to_owned(), call.head().interface().map(str::to_owned));
            assert_eq!((path.as_str(), interface.as_deref()), (PARTITION_PATH, Some(PARTITION)));
            assert_eq!(Request::read(&call, call.head().member()), Ok(request));
        }
    }

    #[test]
    fn a_request_beyond_a_limit_or_unknown_is_refused() {
        let read = |request: Request| {
            let call = request.call().unwrap();
            Request::read(&call, call.head().member()).unwrap_err().to_string()
        };
        assert_eq!(read(register(16, 0)), "the flags 0x10 are unknown");
        let late = read(register(0, MAX_TIME_LIMIT_MS + 1));
        assert_eq!(late, "the time limit is 600001 ms; the maximum is 600000 ms");
        let many = Request::AddBatch(vec![HardwareId(0); MAX_BATCH + 1], false);
        assert_eq!(read(many), "a batch has at most 512 processors");
        let call = Request::Add(HardwareId(1)).call().unwrap();
        for (method, why) in
            [("GetSet", "it takes no arguments, not u"), ("Jump", "there is no method Jump")]
        {
            assert_eq!(Request::read(&call, method).unwrap_err().to_string(), why);
        }
        Request::read(&call, "Register").expect_err("Register does not take a number");
    }
}
