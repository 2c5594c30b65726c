//! Detects and reports what a driver does wrong.
//!
//! A fault of the processor, in a driver or in a function of this crate that a driver called, raises a signal. The
//! signal's handler decides which kind of fault it is. Some are not faults here: `signals` emulates what a kernel could
//! have done. Some may be handled by the driver: the image's services dispatch them. For all others the thread stops
//! where it is, and the `monitor` reports the fault and ends the process. The monitor is a thread of this crate that
//! drivers cannot damage by accident. Threads do not unwind: their locks stay held, and nothing needs them any more.
//!
//! One circular dependency remains: `signals` diverts a thread (`divert`) or wakes the `monitor`, and both use its
//! report.

mod call;
mod cause;
mod decode;
mod divert;
mod monitor;
mod shared;
mod signals;
#[cfg(test)]
mod tests;

pub(crate) use cause::Cause;
pub use monitor::{install, watch};
pub(crate) use signals::Report;
