//! Structured exception handling, as the public documentation of the x64 conventions describes it: finding the
//! handler of an exception, and unwinding to it.

mod dispatch;
mod exports;
pub(crate) mod memory;
mod raise;
pub(crate) mod raising;
mod replaced;
mod scopes;
#[cfg(test)]
mod tests;
mod unwind;

pub(crate) use dispatch::dispatch;
pub(crate) use replaced::Replaced;

use crate::ground::export::Export;

/// The exports of this folder.
pub(crate) static TABLES: &[&[Export]] = &[exports::EXPORTS];
