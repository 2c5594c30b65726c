//! Exceptions in drivers: which code handles them, in which order blocks run, and the registers at that
//! time.

use crate::host::trial::{Outcome, call};

/// An address below every mapped one.
const NOWHERE: u64 = 0x10;

fn returns(function: &str, arguments: &[u64]) -> u64 {
    returns_from("seh.sys", function, arguments)
}

fn returns_from(driver: &str, function: &str, arguments: &[u64]) -> u64 {
    let outcome = call(driver, function, arguments);
    let value = outcome.said.strip_prefix("returned ").map(str::parse);
    let Some(Ok(value)) = value else { panic!("{function} did not return: {outcome:?}") };
    value
}

fn said(outcome: &Outcome, start: &str) {
    assert!(outcome.said.starts_with(start), "{outcome:?} does not begin with {start}");
    let places = ["at seh.sys+0x", "at raise.sys+0x"];
    assert!(places.iter().any(|at| outcome.said.contains(at)), "{outcome:?} names no place");
}

#[test]
fn an_exception_handler_gets_the_status() {
    assert_eq!(returns("code", &[0xC000_009A]), 0xC000_009A, "raised by the driver");
    assert_eq!(returns("hardware", &[NOWHERE]), 0xC000_0005, "raised by the processor");
    assert_eq!(returns("record", &[0xE000_0001]), 0xE000_0003, "with a record of the driver's own");
    assert_eq!(returns("access", &[]), 0xC000_0005);
    assert_eq!(returns("by_zero", &[5, 0]), 77);
    assert_eq!(returns("privileged", &[]), 88, "as on a machine without that register");
    assert_eq!(returns("information", &[0x18]), 1 << 32 | 0x18, "a write, and its address");
}

#[test]
fn blocks_run_in_the_documented_order() {
    assert_eq!(returns("order", &[NOWHERE]), 1234, "filters upwards, the last block, the handler");
    assert_eq!(
        returns("nested", &[0xC000_0001]),
        12345,
        "blocks of one function, from the inside out"
    );
    assert_eq!(returns("again", &[0xC000_0001]), 123, "raised again in a handler");
    assert_eq!(returns("ordinary", &[]), 12, "without an exception nothing is abnormal");
}

#[test]
fn a_filter_can_continue_after_a_continuable_exception_only() {
    assert_eq!(returns("mended", &[NOWHERE]), 1234, "with the registers that the filter has set");
    said(&call("seh.sys", "not_mended", &[0xC000_0001]), "raises STATUS_UNSUCCESSFUL");
}

#[test]
fn unwinding_restores_registers_and_variables() {
    assert_eq!(returns("kept", &[NOWHERE]), 5 + 1_111_111 + 1_100_000, "twenty frames further up");
    assert_eq!(returns("grown", &[5000, NOWHERE]), 5001, "with a stack of changing size");
    assert_eq!(returns("large", &[NOWHERE]), 7, "with more than a page of variables");
    assert_eq!(
        returns("many", &[10_000, NOWHERE]),
        10_000,
        "over and over, and nothing is used up"
    );
}

#[test]
fn callers_are_found_from_every_instruction_of_a_function() {
    let steps = returns("every_step", &[]);
    assert!(steps > 500, "{steps} instructions, one by one, and the result of them all is right");
}

#[test]
fn probing_memory_raises_the_documented_exceptions() {
    assert_eq!(returns("probe_read", &[0x1000, 4, 4]), 0, "reading is not tried");
    assert_eq!(returns("probe_read", &[0x1002, 4, 4]), 0x8000_0002, "not aligned");
    assert_eq!(returns("probe_read", &[0x1002, 0, 4]), 0, "an empty range is always valid");
    assert_eq!(
        returns("probe_read", &[u64::MAX - 7, 8, 4]),
        0xC000_0005,
        "an address of the kernel"
    );
    assert_eq!(returns("probe_write", &[1, 4, 4]), 6, "the memory is writable and unchanged");
    assert_eq!(returns("probe_write", &[2, 4, 4]), 0xC000_0005, "the memory is read-only");
    assert_eq!(returns("probe_write", &[NOWHERE, 4, 4]), 0xC000_0005, "the memory is not mapped");
}

#[test]
fn a_fault_in_our_memory_functions_is_raised_at_the_caller() {
    assert_eq!(returns("copy", &[1]), 7, "mapped memory is copied");
    assert_eq!(returns("fill", &[1]), 0x0101_0101_0101_0101);
    assert_eq!(returns("compare", &[1]), 1);
    for function in ["copy", "fill", "compare"] {
        assert_eq!(
            returns(function, &[NOWHERE]),
            0xC000_0005,
            "{function}: what is not is the caller's to handle"
        );
    }
    said(
        &call("seh.sys", "copy_badly", &[NOWHERE]),
        "access violation reading 0x10 in memcpy, called",
    );
}

#[test]
fn an_unhandled_exception_is_reported_where_it_was_raised() {
    said(&call("seh.sys", "unhandled", &[0xC000_009A]), "raises STATUS_INSUFFICIENT_RESOURCES");
    said(&call("seh.sys", "bad_filter", &[NOWHERE]), "access violation reading 0x10");
    said(&call("seh.sys", "fast_fail", &[3]), "fast-fail 3 (CORRUPT_LIST_ENTRY)");
}

#[test]
fn a_driver_can_call_the_unwind_functions() {
    assert_eq!(returns("walked", &[]), 9, "the caller found is the real caller");
}

/// "KeReleaseMutex raises STATUS_MUTANT_NOT_OWNED", "KeReleaseSemaphore raises STATUS_SEMAPHORE_LIMIT_EXCEEDED", "a mutex
/// that is acquired MINLONG times: STATUS_MUTANT_LIMIT_EXCEEDED", "POOL_RAISE_IF_ALLOCATION_FAILURE", "MmProbeAndLockPages
/// raises STATUS_ACCESS_VIOLATION".
#[test]
fn a_driver_handles_what_functions_raise_as_their_pages_say() {
    let raised = |function: &str, arguments: &[u64]| returns_from("raise.sys", function, arguments);
    assert_eq!(raised("mutex", &[]), 0xC000_0046, "STATUS_MUTANT_NOT_OWNED");
    assert_eq!(raised("semaphore", &[]), 0xC000_0047, "STATUS_SEMAPHORE_LIMIT_EXCEEDED");
    assert_eq!(
        raised("limit", &[0]),
        0xC000_0191,
        "STATUS_MUTANT_LIMIT_EXCEEDED, waiting for one object"
    );
    assert_eq!(raised("limit", &[1]), 0xC000_0191, "waiting for several");
    assert_eq!(raised("pages", &[NOWHERE]), 0xC000_0005);
    let pool = (0..6).map(|which| raised("pool", &[which])).collect::<Vec<_>>();
    assert_eq!(
        pool[..3],
        [0xC000_009A; 3],
        "asked for by POOL_RAISE_IF_ALLOCATION_FAILURE, quota, flag"
    );
    assert_eq!(pool[3..], [1; 3], "NULL for those who did not ask, or asked for NULL");
    assert_eq!(raised("many", &[]), 1000, "nothing is left behind by an exception");
    assert_eq!(raised("plainly", &[]), 1, "without an exception these functions return as ever");
}

#[test]
fn an_exception_of_a_function_without_a_handler_is_the_functions_fault_report() {
    let outcome = call("raise.sys", "not_handled", &[]);
    said(&outcome, "calls KeReleaseMutex for a mutex that this thread does not own");
    assert_eq!(outcome.status, Some(0xC000_0046), "{outcome:?}");
}

#[test]
fn a_stack_trace_lists_the_functions_of_a_driver_from_the_inside_out() {
    assert_eq!(returns_from("raise.sys", "traced", &[]), 1);
}
