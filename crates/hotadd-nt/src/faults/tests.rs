//! Every fault that a driver can cause, and the text of its report (L3).

use crate::host::trial::{Outcome, call, run};

/// Calls a function of the fixture, which must end in a fault with this status and this text. The `*` in the text
/// stands for a place in the driver.
fn fault(function: &str, arguments: &[u64], status: u32, words: &str) {
    let outcome = call("crash.sys", function, arguments);
    assert_fault(&outcome, status, words, function);
}

fn assert_fault(outcome: &Outcome, status: u32, words: &str, about: &str) {
    let (before, after) = words.split_once('*').unwrap_or((words, ""));
    let said = &outcome.said;
    let place = said.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    let number = place.and_then(|place| place.strip_prefix("crash.sys+0x"));
    let number = number.and_then(|number| usize::from_str_radix(number, 16).ok());
    assert!(number.is_some(), "{about}: {outcome:?} is not {words}");
    // Its code is in the first section.
    assert!(
        (0x1000..0x2000).contains(&number.unwrap()),
        "{about}: {said} is not a place in its code"
    );
    assert_eq!(outcome.status, Some(status), "{about}: {said}");
    assert_eq!(outcome.signal, Some(libc::SIGABRT), "{about}: the process ends with the fault");
}

fn returns(function: &str, arguments: &[u64]) -> u64 {
    let outcome = call("crash.sys", function, arguments);
    let value = outcome.said.strip_prefix("returned ").map(str::parse);
    let Some(Ok(value)) = value else { panic!("{function} did not return: {outcome:?}") };
    value
}

#[test]
fn a_correct_driver_function_returns_its_result() {
    assert_eq!(returns("add", &[1, 2, 3, 4]), 4321, "all four arguments arrive in order");
    assert_eq!(returns("corrected", &[]), 42, "an address in it was relocated");
    let cookie = returns("cookie", &[]);
    assert!(
        cookie != 0x2B99_2DDF_A232 && cookie >> 48 == 0 && cookie != 0,
        "{cookie:#x} was chosen"
    );
    assert_ne!(cookie, returns("cookie", &[]), "it differs each time");
}

#[test]
fn an_access_violation_names_the_access_the_address_and_the_place() {
    fault("read_at", &[0x10], 0xC000_0005, "access violation reading 0x10 at *");
    fault("write_at", &[0x18], 0xC000_0005, "access violation writing 0x18 at *");
    fault("jump_to", &[0x20], 0xC000_0005, "access violation executing 0x20 at *");
    let nowhere = "access violation reading a non-canonical address at *";
    fault("read_at", &[0x8000_0000_0000_0000], 0xC000_0005, nowhere);
}

#[test]
fn memory_is_accessible_only_as_its_section_allows() {
    for (function, how) in
        [("write_constant", "writing"), ("write_code", "writing"), ("run_data", "executing")]
    {
        let outcome = call("crash.sys", function, &[]);
        let start = format!("access violation {how} 0x");
        assert!(outcome.said.starts_with(&start), "{function}: {outcome:?}");
        assert!(outcome.said.contains(" at crash.sys+0x"), "{function}: {outcome:?}");
    }
}

#[test]
fn a_stack_overflow_is_distinguished_from_a_bad_pointer() {
    fault("recurse", &[1], 0xC000_00FD, "stack overflow at *");
}

#[test]
fn a_failed_division_names_its_cause() {
    fault("divide", &[5, 0], 0xC000_0094, "divides by zero at *");
    let least = u64::from(i32::MIN.cast_unsigned());
    fault("divide_signed", &[least, u64::from(u32::MAX)], 0xC000_0095, "a division overflows at *");
    assert_eq!(returns("divide", &[42, 6]), 7);
}

#[test]
fn deliberate_traps_of_a_driver_are_named() {
    fault("breakpoint", &[], 0x8000_0003, "breakpoint at *");
    fault("call_breakpoint", &[], 0x8000_0003, "breakpoint at *");
    fault("fast_fail", &[3], 0xC000_0409, "fast-fail 3 (CORRUPT_LIST_ENTRY) at *");
    fault("fast_fail", &[77], 0xC000_0409, "fast-fail 77 at *");
    fault("assertion", &[], 0xC000_0420, "assertion failed at *");
    fault("undefined", &[], 0xC000_001D, "illegal instruction at *");
}

#[test]
fn a_privileged_instruction_is_named() {
    let names = [
        ("rdmsr", "rdmsr"),
        ("hlt", "hlt"),
        ("in", "in"),
        ("write_cr3", "mov to a control register"),
    ];
    for (function, name) in names {
        fault(function, &[], 0xC000_0096, &format!("executes {name}, which needs ring 0, at *"));
    }
}

#[test]
fn the_irql_is_read_and_written_through_its_register() {
    assert_eq!(returns("get_cr8", &[]), 0, "PASSIVE_LEVEL");
    assert_eq!(returns("set_cr8_r9", &[2]), 2, "DISPATCH_LEVEL, as it was set");
    let all = 111_111_111 + 200_000_000 + 1 + 2;
    assert_eq!(returns("cr8_keeps", &[2]), all, "all other registers are kept, the carry too");
    assert_eq!(returns("interrupts", &[]), 7, "cli and sti do nothing");
}

#[test]
fn times_are_read_from_the_shared_page_and_other_fields_are_faults() {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seconds = returns("system_time", &[]) / 10_000_000 - 11_644_473_600;
    assert!(seconds >= unix.as_secs() && seconds - unix.as_secs() < 3600, "{seconds} is the time");
    assert!(returns("tick_count", &[]) > 0, "the machine has run for a while");
    let shared = "KUSER_SHARED_DATA+0x264, which is not provided, at *";
    fault("unknown_shared", &[], 0xC000_0005, &format!("reads {shared}"));
    fault("write_shared", &[], 0xC000_0005, &format!("writes {shared}"));
}

#[test]
fn a_missing_import_is_a_fault_where_it_is_used() {
    let missing =
        |how: &str, name: &str| format!("{how} ntoskrnl.exe!{name}, which is not provided, at *");
    fault("call_missing", &[], 0xC000_0139, &missing("calls", "HotaddNobodyHasThis"));
    fault("call_numbered", &[], 0xC000_0139, &missing("calls", "#7"));
    fault("read_missing", &[], 0xC000_0139, &missing("reads", "HotaddNobodyHasThisEither"));
}

#[test]
fn an_unhandled_exception_names_its_status_and_its_raiser() {
    let raises = "raises STATUS_INSUFFICIENT_RESOURCES (0xC000009A), which has no handler, at *";
    fault("raise", &[0xC000_009A], 0xC000_009A, raises);
    fault("raise", &[0xE000_0001], 0xE000_0001, "raises 0xE0000001, which has no handler, at *");
    let misaligned = "raises 0x80000002, which has no handler, at *";
    fault("probe", &[0x1001, 4, 4], 0x8000_0002, misaligned);
    let kernel = "raises STATUS_ACCESS_VIOLATION (0xC0000005), which has no handler, at *";
    fault("probe", &[0xFFFF_8000_0000_0000, 4, 4], 0xC000_0005, kernel);
    fault("probe", &[u64::MAX, 4, 1], 0xC000_0005, kernel);
    returns("probe", &[0x1001, 0, 4]);
}

#[test]
fn a_bad_pointer_passed_to_our_function_is_reported_at_its_caller() {
    let in_ours = "access violation writing 0x10 in ProbeForWrite, called at *";
    // The function may touch any of the event's fields first.
    let said = call("crash.sys", "set_event", &[0x10]).said;
    let (what, place) = said.split_once(" in KeSetEvent, called at ").unwrap_or_default();
    assert!(what.starts_with("access violation ") && place.starts_with("crash.sys+0x"), "{said}");
    fault("probe_for_write", &[0x10, 4, 4], 0xC000_0005, in_ours);
}

#[test]
fn a_call_beyond_its_time_limit_is_stopped_and_reported_with_its_place() {
    let outcome = run("overdue", "crash.sys spin");
    assert_fault(&outcome, 0xC000_00B5, "no answer in 200ms: still at *", "spin");
    let outcome = run("overdue", "crash.sys wait_for_ever");
    let waiting = "no answer in 200ms: still in KeWaitForSingleObject, called at *";
    assert_fault(&outcome, 0xC000_00B5, waiting, "wait_for_ever");
    let outcome = run("in time", "crash.sys add 1 0 0 0");
    assert_eq!(outcome.said, "returned 100", "calls that return are not disturbed: {outcome:?}");
}

#[test]
fn a_call_that_prints_beyond_its_time_limit_is_reported_although_printing_takes_a_lock() {
    for _ in 0..10 {
        let outcome = run("overdue printing", "");
        let said = &outcome.said;
        assert!(said.starts_with("no answer in 200ms: still in hotadd"), "{outcome:?}");
        assert_eq!(outcome.signal, Some(libc::SIGABRT), "it is reported, and not given up: {said}");
    }
}

#[test]
fn a_fault_outside_of_drivers_ends_the_process_as_usual() {
    let outcome = run("host overflow", "");
    assert!(
        outcome.everything.contains("has overflowed its stack"),
        "Rust's own words: {outcome:?}"
    );
    assert_eq!(outcome.said, "", "no driver is reported");
    let outcome = run("host crash", "");
    assert_eq!(outcome.signal, Some(libc::SIGSEGV), "an ordinary crash: {outcome:?}");
    assert_eq!(outcome.said, "", "no driver is reported");
}
