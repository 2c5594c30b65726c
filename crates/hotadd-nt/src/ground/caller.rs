//! The caller: the place in a driver from which a function of this crate was called, and reports about it.

use hotadd::Status;

use crate::ground::fault::Fault;
use crate::ground::{calls, images, world};

/// Ends the process: the calling driver broke a rule, which Windows would not have survived.
pub(crate) fn fault(what: impl Into<String>) -> ! {
    fault_with(Status::UNSUCCESSFUL, what)
}

/// The same, with a more specific status.
pub(crate) fn fault_with(status: Status, what: impl Into<String>) -> ! {
    Fault::new(status, what, address().unwrap_or(0)).raise()
}

/// Reports that the calling driver broke a rule, and continues.
pub(crate) fn breach(what: &str) {
    let place = address().and_then(images::place);
    let console = &world::get().console;
    match place {
        Some(place) => console.breach(&format!("{what} at {place}")),
        None => console.breach(what),
    }
}

/// The address of the call in the driver; `None` if no driver called, or if the call cannot be recognised.
pub(crate) fn address() -> Option<usize> {
    calls::calling().map(|call| call.at)
}
