//! [`Message`]: what the other threads of a run tell the main thread.

use std::collections::BTreeMap;

use hotadd::{Event, HardwareId};
use hotadd_service::children::Ending;

use crate::driver_output::DriverOutput;

/// Messages of the other threads to the main thread.
pub(crate) enum Message {
    /// From the partition. The event may come from any thread.
    Event(Box<Event>),
    Signal(Received),
    /// From the built-in load: steps per second by processor.
    Rates(BTreeMap<HardwareId, f64>),
    /// All drivers have registered, or the reason why one did not.
    Registered(Result<(), String>),
    /// From a driver's process.
    Output(DriverOutput),
    /// All drivers are deregistered, and their processes have ended.
    Left,
    /// Processors that appear cannot be followed.
    NotFollowed(hotadd::Error),
    /// Where metrics are served.
    Metrics(String),
    /// The trace cannot be continued.
    Untraced(String),
    /// Everything planned was done.
    Planned,
    /// The command ended.
    Ended(Ending),
}

/// A signal, and whether the command has received it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) number: i32,
    /// From the terminal, which sends it to every process in the foreground and thus to the command too.
    pub(crate) from_terminal: bool,
}
