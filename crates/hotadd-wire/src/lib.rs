//! Both ends of the protocol between a partition and parties in other processes: `org.hotadd.Partition1` and
//! `org.hotadd.Agent1`, as the XML files in `dbus/` of the repository define them.
//!
//! Only this crate encodes and decodes messages. It is shared by the agent client (`hotadd` with the feature `dbus`) and the
//! partition's side (`hotadd-service`). It has no threads, no connections and none of the transaction's rules: bytes go in,
//! messages and values come out. Every byte from a peer is checked before it is decoded.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

mod address;
mod arguments;
pub mod bus;
mod calls;
mod decode;
mod direct;
pub mod freedesktop;
pub mod handshake;
mod limits;
mod message;
mod names;
mod peer;
mod place;
pub mod polkit;
mod request;
mod rows;
mod signal;
mod standard;
mod stream;
mod values;
mod veto;

pub use address::{AddressError, At, BusAddress};
pub use arguments::StandardError;
pub use calls::{AgentPath, Calls, deregistered, refusal};
pub use decode::{AGREEMENT, START, Unsound, agree, agreement, length};
pub use direct::DirectBus;
pub use limits::{MAX_MESSAGE, MAX_REASON, MAX_TIME_LIMIT_MS, Room, row_text, text};
pub use message::{Body, Decode, Encode, Head, Kind, Message, MessageError, Outgoing};
pub use names::{
    AGENT, AGENT_PATH, BOARD, CONCURRENT, DENIALS, DEREGISTERED, ERROR, LATER_ONLY,
    MACHINE_BUS_NAME, PARTITION, PARTITION_PATH, REMOVAL, STATUS_ERROR, bus_name,
};
pub use peer::Addressing;
pub use place::{denied, is_name, runtime_dir};
pub use request::{Register, Request, RequestError};
pub use rows::{AbsentRow, AnswerRow, BatchRow, MissingRow, PartyRow, WaitingRow};
pub use signal::Signal;
pub use standard::{Properties, hardware, hardware_call};
pub use stream::Stream;
pub use values::{
    Details, Malformed, WireError, WireNotice, WireProcessor, WireSet, notice, processor,
    read_notice, read_processor, read_set, set,
};
pub use veto::{AgentAnswer, crash_error, read_answer, veto_error, veto_status};

/// The example of this crate's README, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;
