//! What a driver can call: the kernel's exports, in folders that have Windows' own prefixes as their names.
//! `exports` is the table of them all.
//!
//! No circle of files is longer than three. These are left:
//! - `exports` and `mm::routine`: a driver can ask for any export by its name, this function included.
//! - `ke::dispatch`, `ke::timers` and `ke::waits`: timers expire under the lock under which threads wait.
//! - `ob::references`, `ex::callbacks` and `ex::processor_add`: a callback object ends with its last reference.
//! - `ex::heap` and `ex::pool`, `ke::processors` and `ke::relationship`: two halves of one thing.

pub(crate) mod ex;
pub(crate) mod exports;
pub(crate) mod io;
pub(crate) mod ke;
pub(crate) mod mm;
pub(crate) mod ob;
pub(crate) mod ps;
pub(crate) mod rtl;
pub(crate) mod seh;
