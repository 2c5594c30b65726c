//! Structured exception handling, as the public documentation of the x64 conventions describes it: finding who handles an
//! exception, and unwinding to it.

mod dispatch;
mod exports;
pub(crate) mod memory;
mod raise;
mod scopes;
#[cfg(test)]
mod tests;
mod unwind;

pub(crate) use dispatch::dispatch;

use crate::ground::export::Export;

/// What this folder declares.
pub(crate) static TABLES: &[&[Export]] = &[exports::EXPORTS];
