//! The filters of debug output. There are none here: every message is shown.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::types::{Boolean, NtStatus, nt_status};

nt! {
    /// Whether messages of a component at a level are shown: all are.
    fn DbgQueryDebugFilterState(_component: u32, _level: u32) -> NtStatus { 1 }

    /// Accepted, without effect.
    fn DbgSetDebugFilterState(_component: u32, _level: u32, _state: Boolean) -> NtStatus {
        nt_status(Status::SUCCESS)
    }
}
