//! `KeBugCheckEx` and other functions that stop a system. Here they stop the driver's process and report the code and
//! its numbers.

use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use hotadd::Status;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::fault::Fault;
use crate::ground::foreign::{In, Out};
use crate::ground::routine::Routine;
use crate::ground::rule::Rule;
use crate::ground::types::Boolean;

nt! {
    /// Stops the process.
    fn KeBugCheck(code: u32) { stop(code, [0; 4]) }

    /// Stops the process.
    fn KeBugCheckEx(code: u32, one: usize, two: usize, three: usize, four: usize) {
        stop(code, [one, two, three, four]);
    }

    /// Registers a function that is called before the system stops.
    fn KeRegisterBugCheckCallback(
        record: Out<Record>, routine: *const c_void, buffer: usize, length: u32, component: usize,
    ) -> Boolean {
        u8::from(register(record, routine, buffer, length, component))
    }

    /// Removes such a registration.
    fn KeDeregisterBugCheckCallback(record: Out<Record>) -> Boolean { u8::from(deregister(record)) }

    /// Stops the process where a debugger would take over: there is none.
    fn DbgBreakPointWithStatus(status: u32) { break_here(status) }

    /// Stops the process: an assertion does not hold.
    fn RtlAssert(assertion: In<u8>, file: In<u8>, line: u32, message: In<u8>) {
        failed(assertion, file, line, message);
    }
}

/// The names of bugcheck codes that drivers use, from the public list.
const NAMES: [(u32, &str); 25] = [
    (0x01, "APC_INDEX_MISMATCH"),
    (0x0A, "IRQL_NOT_LESS_OR_EQUAL"),
    (0x0F, "SPIN_LOCK_ALREADY_OWNED"),
    (0x10, "SPIN_LOCK_NOT_OWNED"),
    (0x18, "REFERENCE_BY_POINTER"),
    (0x19, "BAD_POOL_HEADER"),
    (0x1E, "KMODE_EXCEPTION_NOT_HANDLED"),
    (0x3B, "SYSTEM_SERVICE_EXCEPTION"),
    (0x4E, "PFN_LIST_CORRUPT"),
    (0x50, "PAGE_FAULT_IN_NONPAGED_AREA"),
    (0x7E, "SYSTEM_THREAD_EXCEPTION_NOT_HANDLED"),
    (0x7F, "UNEXPECTED_KERNEL_MODE_TRAP"),
    (0x8E, "KERNEL_MODE_EXCEPTION_NOT_HANDLED"),
    (0x9F, "DRIVER_POWER_STATE_FAILURE"),
    (0xBE, "ATTEMPTED_WRITE_TO_READONLY_MEMORY"),
    (0xC2, "BAD_POOL_CALLER"),
    (0xC4, "DRIVER_VERIFIER_DETECTED_VIOLATION"),
    (0xC5, "DRIVER_CORRUPTED_EXPOOL"),
    (0xCE, "DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS"),
    (0xD1, "DRIVER_IRQL_NOT_LESS_OR_EQUAL"),
    (0xE2, "MANUALLY_INITIATED_CRASH"),
    (0xFC, "ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY"),
    (0x101, "CLOCK_WATCHDOG_TIMEOUT"),
    (0x133, "DPC_WATCHDOG_VIOLATION"),
    (0x139, "KERNEL_SECURITY_CHECK_FAILURE"),
];

/// `KBUGCHECK_CALLBACK_RECORD`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Record {
    entry: [usize; 2],
    routine: usize,
    buffer: usize,
    length: u32,
    component: usize,
    checksum: usize,
    state: u8,
}

const _: () = assert!(size_of::<Record>() == 0x40);

/// `BufferEmpty`, `BufferInserted`.
const EMPTY: u8 = 0;
const INSERTED: u8 = 1;

/// The registered callbacks: the record's address, the function, its buffer and the length.
static CALLBACKS: Mutex<Vec<(usize, Routine, usize, u32)>> = Mutex::new(Vec::new());

/// The text for a code and its numbers.
fn text(code: u32, parameters: [usize; 4]) -> String {
    let name = NAMES.iter().find(|(number, _)| *number == code);
    let name = name.map_or_else(String::new, |(_, name)| format!(" ({name})"));
    let [one, two, three, four] = parameters;
    format!("bugcheck {code:#x}{name} ({one:#x}, {two:#x}, {three:#x}, {four:#x})")
}

fn stop(code: u32, parameters: [usize; 4]) {
    // A callback that stops the system again finds no callbacks.
    let callbacks = std::mem::take(&mut *CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner));
    for (_, routine, buffer, length) in callbacks {
        // SAFETY: the driver that registered it guarantees its signature.
        unsafe { routine.call([buffer, length as usize, 0, 0]) };
    }
    let place = caller::address().unwrap_or(0);
    let fault = Fault::new(Status::DRIVER_INTERNAL_ERROR, text(code, parameters), place);
    fault.of(Rule::Bugcheck).raise()
}

fn register(
    to: Out<Record>,
    routine: *const c_void,
    buffer: usize,
    length: u32,
    component: usize,
) -> bool {
    let Some(function) = Routine::new(routine) else { return false };
    let mut callbacks = CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner);
    if to.get().state != EMPTY || callbacks.iter().any(|(at, ..)| *at == to.as_ptr() as usize) {
        return false;
    }
    callbacks.push((to.as_ptr() as usize, function, buffer, length));
    to.put(Record {
        entry: [0; 2],
        routine: function.address(),
        buffer,
        length,
        component,
        checksum: 0,
        state: INSERTED,
    });
    true
}

fn deregister(record: Out<Record>) -> bool {
    let mut callbacks = CALLBACKS.lock().unwrap_or_else(PoisonError::into_inner);
    let before = callbacks.len();
    callbacks.retain(|(at, ..)| *at != record.as_ptr() as usize);
    if callbacks.len() == before {
        return false;
    }
    record.put(Record { state: EMPTY, ..record.get() });
    true
}

fn break_here(status: u32) {
    /// `STATUS_BREAKPOINT`
    const BREAKPOINT: Status = Status::from_raw(0x8000_0003);
    let what = format!("stops at a breakpoint with {status:#x}, but there is no debugger");
    caller::fault_with(BREAKPOINT, what)
}

fn failed(assertion: In<u8>, file: In<u8>, line: u32, message: In<u8>) {
    /// `STATUS_ASSERTION_FAILURE`
    const ASSERTION_FAILURE: Status = Status::from_raw(0xC000_0420);
    let text =
        |at: In<u8>| at.non_null().map(|at| String::from_utf8_lossy(&at.terminated()).into_owned());
    let message = text(message).map_or_else(String::new, |message| format!(": {message}"));
    let [assertion, file] = [assertion, file].map(|at| text(at).unwrap_or_else(|| "?".to_owned()));
    let what = format!("assertion failed: {assertion} ({file}, line {line}){message}");
    caller::fault_with(ASSERTION_FAILURE, what)
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;
    use std::ptr;

    use windows_sys::Wdk::System::SystemServices::KBUGCHECK_CALLBACK_RECORD;

    use super::text;
    use crate::tests::{BOTH, call};

    #[test]
    fn a_bugcheck_is_printed_with_its_name_and_parameters() {
        assert_eq!(
            text(0xD1, [1, 2, 0, usize::MAX]),
            "bugcheck 0xd1 (DRIVER_IRQL_NOT_LESS_OR_EQUAL) (0x1, 0x2, 0x0, 0xffffffffffffffff)"
        );
        assert_eq!(text(0xdead, [0; 4]), "bugcheck 0xdead (0x0, 0x0, 0x0, 0x0)");
    }

    #[test]
    fn names_are_ascending_and_unique() {
        assert!(super::NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn a_callback_is_registered_once_and_deregistered_once() {
        assert_eq!(offset_of!(KBUGCHECK_CALLBACK_RECORD, State), offset_of!(super::Record, state));
        extern "C" fn callback(_buffer: usize, _length: u32) {}
        for abi in BOTH {
            let mut record = KBUGCHECK_CALLBACK_RECORD::default();
            let at = &raw mut record;
            let register = || {
                let routine = callback as *const () as usize;
                call!(abi, KeRegisterBugCheckCallback(
                    at => *mut KBUGCHECK_CALLBACK_RECORD, routine => usize, 0 => usize, 0 => u32,
                    ptr::null() => *const u8,
                ) -> u8)
            };
            assert_eq!((register(), register()), (1, 0));
            let deregister = || call!(abi, KeDeregisterBugCheckCallback(at => *mut KBUGCHECK_CALLBACK_RECORD) -> u8);
            assert_eq!((deregister(), deregister()), (1, 0));
            assert_eq!((register(), deregister()), (1, 1), "a record can be used again");
        }
    }
}
