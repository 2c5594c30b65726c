//! Faults of a driver. Each is a veto that names the driver, the fault and its address, and harms no other
//! party (L3).

use serde_json::Value;

use crate::built::{Driver, Form, Run};
use crate::common::{events, of, output, stderr, stdout};

/// The driver fails while it is asked about processor 1. Returns the reason.
fn l3(driver: &Driver, spec: &str, status: &str) -> String {
    let good = Form::Sys.sample("percpu");
    let run = Run::new("1+2").driver(&good.with("name=good"));
    // Otherwise the missing driver would refuse the next add (L4).
    let run = run.driver(&format!("{spec},when-missing=skip"));
    let events = run.ends_well();
    let fault = of(&events, "fault");
    assert_eq!(fault.len(), 1, "{}: {events:#?}", driver.name);
    let veto = of(&events, "veto")[0];
    assert_eq!((&veto["driver"], &veto["id"]), (&driver.name.as_str().into(), &1.into()));
    assert_eq!(veto["status"], status, "{veto}");
    for field in ["status", "reason"] {
        assert_eq!(veto[field], fault[0][field], "the veto says what the driver did wrong");
    }
    let breach = of(&events, "breach")[0];
    assert_eq!((&breach["clause"], &breach["driver"]), (&"L3".into(), &veto["driver"]));
    assert_eq!(of(&events, "exit")[0]["active"], "0,2", "the next add works");
    other_driver_is_unharmed(&events);
    veto["reason"].as_str().unwrap().to_owned()
}

/// The other driver is told the failure and continues.
fn other_driver_is_unharmed(events: &[Value]) {
    let other = |event: &&Value| event["driver"] == "good";
    let unloaded = of(events, "unloaded").into_iter().find(other).expect("it was unloaded");
    assert_eq!(unloaded["text"], "unloaded, 0 bytes of pool left");
}

/// Runs both forms of the driver. `begins` is the begin of the reason, which ends with the address.
fn both(fault: &str, status: &str, begins: &str) {
    for form in Form::ALL {
        let driver = form.fault(fault);
        let reason = l3(&driver, &driver.path, status);
        let begins = begins.replace("MODULE!", form.module());
        assert!(reason.starts_with(&begins), "{}: {reason}", driver.name);
        assert!(
            reason.contains(&format!(" at {}+0x", driver.name)),
            "the reason has the address: {reason}"
        );
    }
}

#[test]
fn l3_an_access_violation_is_a_veto_with_its_address() {
    both("null", "0xC0000005", "access violation writing 0x0 at ");
}

#[test]
fn l3_a_stack_overflow_is_a_veto_with_its_address() {
    both("stack", "0xC00000FD", "stack overflow at ");
}

#[test]
fn l3_an_unhandled_exception_is_a_veto_with_its_address() {
    both("raise", "0xC0000017", "raises STATUS_NO_MEMORY (0xC0000017), which has no handler");
}

#[test]
fn l3_a_driver_that_ends_its_process_is_a_veto() {
    both("fastfail", "0xC0000409", "fast-fail 7 (FATAL_APP_EXIT)");
}

#[test]
fn l3_a_bugcheck_is_a_veto_with_its_address() {
    both("bugcheck", "0xC0000183", "bugcheck 0xe2 (MANUALLY_INITIATED_CRASH) (0x1, 0x2, 0x3, 0x4)");
}

#[test]
fn l3_returning_with_a_held_spin_lock_is_a_veto() {
    both("spinlock", "0xC0000001", "returned from its callback at IRQL 2, holding the spin lock ");
}

#[test]
fn l3_calling_a_missing_import_is_a_veto_that_names_it() {
    for form in Form::ALL {
        let driver = form.fault("import");
        let reason = l3(&driver, &driver.path, "0xC0000139");
        let module = form.module();
        let begins = format!("calls {module}KeNobodyProvidesThis, which is not provided");
        assert!(reason.starts_with(&begins), "{reason}");
        // A strict load refuses it.
        let output = output(&["run", "--simulate", "1+0", "--driver", &driver.with("strict")]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!(
            "{} is not loaded: it needs functions that are not provided: {module}KeNobodyProvidesThis",
            driver.name
        );
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn l3_a_double_free_is_a_veto_that_names_the_tag() {
    for form in Form::ALL {
        let driver = form.fault("doublefree");
        let reason = l3(&driver, &driver.path, "0xC0000001");
        assert!(reason.starts_with("calls ExFreePoolWithTag for 0x"), "{reason}");
        assert!(reason.contains("a block of tag 'Fult' that is already freed"), "{reason}");
    }
}

#[test]
fn l3_a_callback_that_never_returns_is_reported_with_its_address() {
    for form in Form::ALL {
        let driver = form.fault("loop");
        let reason = l3(&driver, &driver.with("timeout=300"), "0xC00000B5");
        let expected = format!("no answer in 300ms: still at {}+0x", driver.name);
        assert!(reason.starts_with(&expected), "{reason}");
    }
}

#[test]
fn leaked_memory_is_reported_by_tag() {
    for form in Form::ALL {
        let leak = form.fault("leak");
        let events = Run::new("1+1").driver(&leak.path).ends_well();
        assert_eq!(
            of(&events, "unloaded")[0]["text"],
            "unloaded, 64 bytes of pool left: 1 block, 64 bytes of tag 'Fult'"
        );
    }
}

#[test]
fn d4_a_registration_left_at_unload_is_deregistered_and_reported() {
    for form in Form::ALL {
        let driver = form.fault("registered");
        let events = Run::new("1+1").driver(&driver.path).ends_well();
        let breach = of(&events, "breach");
        assert_eq!(breach.len(), 1);
        assert_eq!(breach[0]["reason"], "unloaded with one registration; deregistered (D4)");
        assert_eq!(of(&events, "deregistered").len(), 1);
    }
}

#[test]
fn l1_a_driver_that_refuses_to_load_is_not_loaded_and_its_status_is_reported() {
    for form in Form::ALL {
        let driver = form.fault("failentry");
        let output = Run::new("1+1").driver(&driver.path).output();
        assert_eq!(output.status.code(), Some(1));
        let said = stderr(&output);
        let expected = format!(
            "{} is not loaded: DriverEntry returned STATUS_DEVICE_DOES_NOT_EXIST (0xC00000C0)",
            driver.name
        );
        assert!(said.contains(&expected), "{said}");
        let events = events(&stdout(&output));
        let breach = of(&events, "breach");
        assert_eq!(
            breach[0]["reason"],
            "DriverEntry failed and left one registration; deregistered (L1)"
        );
        assert_eq!(of(&events, "deregistered").len(), 1);
        assert!(!stdout(&output).contains("fault: unloaded"), "L1: its Unload is not called");
    }
}

#[test]
fn l2_a_driver_without_an_unload_stays_until_its_process_ends() {
    for form in Form::ALL {
        let driver = form.fault("nounload");
        let events = Run::new("1+1").driver(&driver.path).ends_well();
        let expected = "cannot be unloaded, because it did not set DriverUnload (L2)";
        assert_eq!(of(&events, "unloaded")[0]["text"], expected);
        assert_eq!(of(&events, "joined").len(), 1);
    }
}

#[test]
fn a_driver_handles_its_own_exceptions() {
    let seh = Form::Sys.sample("seh");
    let events = Run::new("1+1").driver(&seh.path).ends_well();
    let veto = of(&events, "veto")[0];
    assert_eq!(veto["status_name"], "STATUS_NO_MEMORY", "the status of the exception it handled");
    assert!(of(&events, "fault").is_empty());
}

#[test]
fn a_driver_that_crashed_is_restarted_if_configured() {
    let driver = Form::Sys.fault("null");
    let mut live = crate::common::live::Live::with(&driver.with("restart=1"));
    live.until("fault");
    live.until("registered");
    let events = live.end();
    assert_eq!(of(&events, "registered").len(), 2, "{events:#?}");
}
