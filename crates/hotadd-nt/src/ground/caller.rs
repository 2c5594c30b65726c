//! The caller: the place in a driver from which a function of this crate was called, and reports about it.

use hotadd::Status;

use crate::ground::fault::Fault;
use crate::ground::rule::{Breach, Rule};
use crate::ground::{calls, images, probe, world};

/// Ends the process: the calling driver broke a rule, which Windows would not have survived.
pub(crate) fn fault(what: impl Into<String>) -> ! {
    fault_with(Status::UNSUCCESSFUL, what)
}

/// The same, with a more specific status.
pub(crate) fn fault_with(status: Status, what: impl Into<String>) -> ! {
    Fault::new(status, what, address().unwrap_or(0)).raise()
}

/// The same, by the rule.
pub(crate) fn fault_of(rule: Rule, what: impl Into<String>) -> ! {
    Fault::new(Status::UNSUCCESSFUL, what, address().unwrap_or(0)).of(rule).raise()
}

/// Reports that the calling driver broke a rule, and continues.
pub(crate) fn breach(what: &str) {
    breach_of(Rule::Misuse, what);
}

/// Reports that the calling driver broke this rule, and continues.
pub(crate) fn breach_of(rule: Rule, what: impl Into<String>) {
    let place = address().and_then(images::place);
    world::get().console().breach(&Breach { rule, what: what.into(), place });
}

/// The address of the call in the driver; `None` if no driver called, or if the call cannot be recognised.
pub(crate) fn address() -> Option<usize> {
    calls::calling().map(|call| call.at)
}

/// Records the function of this crate that a driver calls, for reports. Nothing removes the record when the function
/// returns: a fault may leave it without a return.
pub(crate) fn enters(function: &'static str) {
    calls::enter(function);
    probe::ask(|probe| probe.called(function));
}

/// The function that recorded itself last on this thread.
pub(crate) fn recorded() -> &'static str {
    calls::entered()
}

/// The function of this crate that a driver has called: by the call, if it can be recognised, since not every function
/// records itself.
pub(crate) fn function() -> &'static str {
    calls::calling().and_then(|call| call.callee).unwrap_or(calls::entered())
}
