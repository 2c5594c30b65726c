//! [`ChangeContext`]: a notice as Windows' structures have it.

#![expect(
    unreachable_pub,
    reason = "exported functions have these types, the module is not exported"
)]

use hotadd::{Notice, ProcessorIndex, State};

use crate::failure::raw;

/// `PROCESSOR_NUMBER`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ProcessorNumber {
    pub(crate) group: u16,
    pub(crate) number: u8,
    reserved: u8,
}

impl From<ProcessorIndex> for ProcessorNumber {
    fn from(index: ProcessorIndex) -> Self {
        let number = index.number();
        Self { group: number.group, number: number.number, reserved: 0 }
    }
}

/// `KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ChangeContext {
    state: i32,
    nt_number: u32,
    status: i32,
    number: ProcessorNumber,
}

/// The change that a notice means on Windows. `None` for states that Windows does not define (X1).
pub(crate) fn change_of(notice: &Notice) -> Option<ChangeContext> {
    let state = match notice.state() {
        State::AddStart => 0,
        State::AddComplete => 1,
        State::AddFailure => 2,
        _ => return None,
    };
    let index = notice.processor().index;
    let status = raw(notice.status());
    Some(ChangeContext { state, nt_number: index.get(), status, number: index.into() })
}
