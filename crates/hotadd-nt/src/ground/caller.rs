//! Who called: the place in a driver that a function of ours was called from, and telling the world about it.

use hotadd::Status;

use crate::ground::fault::Fault;
use crate::ground::{calls, images, world};

/// Ends the process: the driver that called broke a rule that Windows would not have survived.
pub(crate) fn fault(what: impl Into<String>) -> ! {
    fault_with(Status::UNSUCCESSFUL, what)
}

/// The same, with a status that says more.
pub(crate) fn fault_with(status: Status, what: impl Into<String>) -> ! {
    Fault::new(status, what, address().unwrap_or(0)).raise()
}

/// Reports that the driver that called broke a rule and goes on.
pub(crate) fn breach(what: &str) {
    let place = address().and_then(images::place);
    let console = &world::get().console;
    match place {
        Some(place) => console.breach(&format!("{what} at {place}")),
        None => console.breach(what),
    }
}

/// Where the driver is that called; `None` if none did, or not by a call that can be recognised.
pub(crate) fn address() -> Option<usize> {
    calls::calling().map(|call| call.at)
}
