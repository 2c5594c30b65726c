//! How it is found out what a driver did wrong.
//!
//! A processor that cannot go on, in a driver or in a function of ours that a driver called, raises a signal. Its handler
//! decides which kind of fault it is: some are no fault here at all (`signals` does on the spot what a kernel could have
//! done), some are a driver's to handle (what the image's services dispatch), and for all others the thread stops where it is and the
//! `monitor`, a thread of ours that drivers cannot damage by accident, reports the fault and ends the process. Threads do
//! not unwind: what they hold stays held, and nobody needs it any more.
//!
//! One circle is left: `signals` diverts a thread (`divert`) or wakes the `monitor`, and both have its report.

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
