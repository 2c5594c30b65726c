//! `hotadd_notice_...`: what a callback is told, and its answer.
//!
//! A notice belongs to the thread on which the callback runs, and to the time until the callback returns. The program has a handle
//! of it, so that a later use is an error.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int};
use std::ptr;

use hotadd::{Notice, State, Status, Veto};

use crate::cause::{Refusal, sentence};
use crate::failure::{Failure, c_text, failed, raw, told, value_or};
use crate::handles;

/// How many bytes of a reason are kept, as in messages between processes.
const MAX_REASON: usize = hotadd_wire::MAX_REASON;

/// The notice as C sees it. There is no such structure: a pointer to one is a handle.
#[derive(Debug)]
#[repr(C)]
pub struct CNotice([u8; 0]);

/// A notice in progress.
struct Current {
    handle: usize,
    notice: Notice,
    /// The cause of a failure: the party, if one refused, and the reason.
    party: Option<CString>,
    reason: CString,
    answer: Result<(), Veto>,
}

thread_local! {
    /// The notices in progress on this thread: more than one if a callback dispatches another registration.
    static CURRENT: RefCell<Vec<Current>> = const { RefCell::new(Vec::new()) };
}

/// Calls `callback` with the handle of a notice, and returns the answer.
pub(crate) fn during(
    notice: &Notice,
    cause: Option<Refusal>,
    callback: impl FnOnce(*mut CNotice),
) -> Result<(), Veto> {
    let handle = handles::next();
    let (party, reason) = cause.map_or((None, String::new()), |cause| (cause.party, cause.reason));
    let current = Current {
        handle,
        notice: *notice,
        party: party.map(|party| c_text(&party)),
        reason: c_text(&reason),
        answer: Ok(()),
    };
    CURRENT.with_borrow_mut(|all| all.push(current));
    callback(ptr::without_provenance_mut(handle));
    CURRENT.with_borrow_mut(Vec::pop).map_or(Ok(()), |current| current.answer)
}

/// Reads a notice.
fn read<T>(notice: *const CNotice, read: impl FnOnce(&mut Current) -> T) -> Result<T, Failure> {
    CURRENT.with_borrow_mut(|all| {
        let found = all.iter_mut().find(|current| current.handle == notice.addr());
        found.map(read).ok_or_else(|| {
            let message =
                "the notice is NULL, or its callback has returned, or it belongs to another thread";
            Failure::new(Status::INVALID_HANDLE, message)
        })
    })
}

/// The state: 0 to 5. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_state(notice: *const CNotice) -> c_int {
    let state = read(notice, |current| match current.notice.state() {
        State::AddStart => 0,
        State::AddComplete => 1,
        State::AddFailure => 2,
        State::RemoveStart => 3,
        State::RemoveComplete => 4,
        State::RemoveFailure => 5,
    });
    value_or(state, -1)
}

/// The index of the processor. `u32::MAX` on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_index(notice: *const CNotice) -> u32 {
    value_or(read(notice, |current| current.notice.processor().index.get()), u32::MAX)
}

/// The group of the processor. `u32::MAX` on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_group(notice: *const CNotice) -> u32 {
    let group = |current: &mut Current| u32::from(current.notice.processor().number().group);
    value_or(read(notice, group), u32::MAX)
}

/// The number of the processor in its group. `u32::MAX` on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_number(notice: *const CNotice) -> u32 {
    let number = |current: &mut Current| u32::from(current.notice.processor().number().number);
    value_or(read(notice, number), u32::MAX)
}

/// The hardware id of the processor. `u32::MAX` on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_id(notice: *const CNotice) -> u32 {
    value_or(read(notice, |current| current.notice.processor().id.0), u32::MAX)
}

/// The epoch of the set in force. 0 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_epoch(notice: *const CNotice) -> u64 {
    value_or(read(notice, |current| current.notice.epoch().0), 0)
}

/// Whether the notice is part of a replay. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_is_replay(notice: *const CNotice) -> c_int {
    value_or(read(notice, |current| c_int::from(current.notice.is_replay())), -1)
}

/// Whether the processor left without a remove. -1 on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_is_surprise(notice: *const CNotice) -> c_int {
    value_or(read(notice, |current| c_int::from(current.notice.is_surprise())), -1)
}

/// The status of a failure. An error status if there is no such notice.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_status(notice: *const CNotice) -> i32 {
    read(notice, |current| raw(current.notice.status())).unwrap_or_else(failed)
}

/// The reason of a failure. Empty if the notice is not of a failure; NULL on an error.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_reason(notice: *const CNotice) -> *const c_char {
    value_or(read(notice, |current| current.reason.as_ptr()), ptr::null())
}

/// The name of the party whose refusal caused a failure. NULL if it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_notice_party(notice: *const CNotice) -> *const c_char {
    let party = |current: &mut Current| current.party.as_ref().map_or(ptr::null(), |p| p.as_ptr());
    value_or(read(notice, party), ptr::null())
}

/// Refuses the processor. The last call counts.
///
/// # Safety
/// `reason` is a C string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_notice_refuse(
    notice: *mut CNotice,
    status: i32,
    reason: *const c_char,
) -> i32 {
    let status = Status::from_raw(status.cast_unsigned()).as_error();
    let reason = if reason.is_null() {
        sentence(status).to_owned()
    } else {
        // SAFETY: not NULL, and so a C string by the caller's promise.
        let reason = unsafe { std::ffi::CStr::from_ptr(reason) };
        // A refusal must not fail for its reason.
        hotadd_wire::text(&reason.to_string_lossy(), MAX_REASON)
    };
    let refused = read(notice, |current| {
        let state = current.notice.state();
        if !state.may_veto() {
            let message = format!("nothing can be refused in {state} (A6)");
            return Err(Failure::new(Status::INVALID_DEVICE_STATE, message));
        }
        current.answer = Err(Veto::new(status, reason));
        Ok(())
    });
    told(refused.and_then(|refused| refused))
}

/// The name of a state. NULL for a number that is not a state.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_state_name(state: c_int) -> *const c_char {
    let names = [
        c"AddStart",
        c"AddComplete",
        c"AddFailure",
        c"RemoveStart",
        c"RemoveComplete",
        c"RemoveFailure",
    ];
    let name = usize::try_from(state).ok().and_then(|at| names.get(at));
    name.map_or(ptr::null(), |name| name.as_ptr())
}
