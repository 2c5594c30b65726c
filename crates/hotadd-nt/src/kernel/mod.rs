//! What a driver can call: the kernel's exports, in folders that have Windows' own prefixes as their names.

pub(crate) mod ex;
pub(crate) mod exports;
pub(crate) mod io;
pub(crate) mod ke;
pub(crate) mod mm;
pub(crate) mod ob;
pub(crate) mod ps;
pub(crate) mod rtl;
pub(crate) mod seh;
