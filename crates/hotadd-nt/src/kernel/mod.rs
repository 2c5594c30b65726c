//! The functions that a driver can call: the kernel's exports, in folders that are named after Windows' own
//! prefixes. `exports` is the table of all of them.
//!
//! No circular dependency has more than three files. These remain:
//! - `exports` and `mm::routine`: a driver can request any export by name, this function included.
//! - `ke::dispatch`, `ke::timers` and `ke::waits`: timers expire under the lock under which threads wait.
//! - `ob::references`, `ex::callbacks` and `ex::processor_add`: a callback object ends with its last reference.
//! - `ex::heap` and `ex::pool`, `ke::processors` and `ke::relationship`: each pair implements one feature.

pub(crate) mod ex;
pub(crate) mod exports;
pub(crate) mod io;
pub(crate) mod ke;
pub(crate) mod mm;
pub(crate) mod ob;
pub(crate) mod ps;
pub(crate) mod rtl;
pub(crate) mod seh;
