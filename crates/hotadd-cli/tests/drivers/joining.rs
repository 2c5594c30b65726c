//! What a driver may do with a processor that is being added, and when (A5).

use crate::built::{Form, Run};
use crate::common::of;
use crate::life::{freed_everything, printed};

/// The lines that it printed after the line `loaded`.
fn printed_later(events: &[serde_json::Value], driver: &str) -> Vec<String> {
    let lines = printed(events, driver);
    let at = lines.iter().position(|line| line.starts_with("loaded")).expect("it was loaded");
    lines[at + 1..].to_vec()
}

#[test]
fn a5_a_dpc_targeted_in_add_start_runs_after_the_processor_joined() {
    for form in Form::ALL {
        let aimed = form.sample("aimed");
        let events = Run::new("1+64").add("63-64").driver(&aimed.path).ends_well();
        assert!(of(&events, "veto").is_empty(), "{}: no veto: {events:#?}", aimed.name);
        assert_eq!(
            printed_later(&events, &aimed.name),
            [
                "processor 1: the DPC is aimed",
                "processor 1: the DPC ran on processor 1",
                "processor 2: the DPC is aimed",
                "processor 2: the DPC ran on processor 2",
                "unloaded",
            ],
            "{}",
            aimed.name
        );
        freed_everything(&events, &aimed.name);
    }
}

#[test]
fn a5_the_index_of_a_processor_that_failed_to_start_goes_to_the_next_with_its_dpc() {
    for form in Form::ALL {
        let aimed = form.sample("aimed");
        let events = Run::new("1+2,fail-start=1").driver(&aimed.path).ends_well();
        assert_eq!(
            printed_later(&events, &aimed.name),
            [
                "processor 1: the DPC is aimed",
                "processor 1: failure, 0xc0000185",
                "processor 1: the DPC is aimed",
                "processor 1: the DPC ran on processor 1",
                "unloaded",
            ],
            "{}",
            aimed.name
        );
        freed_everything(&events, &aimed.name);
    }
}

#[test]
fn a5_a_dpc_queued_in_add_start_is_refused_reported_and_never_runs() {
    for form in Form::ALL {
        let early = form.fault("early");
        let events = Run::new("1+1").driver(&early.path).ends_well();
        assert_eq!(of(&events, "joined").len(), 1, "the processor joins nevertheless");
        assert_eq!(
            printed_later(&events, &early.name),
            ["processor 1: start", "queued too early: 0", "unloaded"],
            "{}: FALSE, and it never runs",
            early.name
        );
        let breach = of(&events, "breach");
        assert_eq!(breach.len(), 1, "{events:#?}");
        let reason = breach[0]["reason"].as_str().unwrap();
        let words = " for processor 1, which has not joined (A5) at ";
        assert!(reason.starts_with("queues the DPC at 0x"), "{reason}");
        assert!(
            reason.contains(&format!("{words}{}+0x", early.name)),
            "the reason has the address: {reason}"
        );
    }
}
