//! `hotadd status` gives the reason for every absent processor, also long after the refusal.

use rustix::process::Signal;
use serde_json::json;

use crate::common::{events, of, stay_out, stderr, stdout};
use crate::stage::Stage;

#[test]
fn a11_status_explains_more_refusals_than_the_history_holds() {
    let party = "[[party]]\ndriver = 'sample:veto=101-300'\n";
    let hardware = "simulate = '1+300,fail-start=1-100'\nat-start = 'leave'\n";
    let mut daemon = Stage::simulated(&format!("{hardware}{party}")).start();
    daemon.until("simulated processors");
    let added = daemon.ask(&["add", "1-300"]);
    assert_eq!(added.status.code(), Some(1), "none joined: {}", stderr(&added));
    // This refusal must not make 0 appear as absent, because 0 is active.
    assert_eq!(daemon.ask(&["add", "0"]).status.code(), Some(1), "it is active already");

    let history = daemon.history();
    let remembered = of(&history, "refused").len();
    assert!(remembered < 300, "the history must be too short for this test, but has {remembered}");
    let status = daemon.ask(&["status"]);
    assert!(status.status.success(), "{}", stderr(&status));
    let output = stdout(&status);
    let out = stay_out(&output);
    assert!(out.iter().map(|(id, _)| *id).eq(1..=300), "each of them once: {output}");
    for (id, why) in &out {
        let because = match id {
            1..=100 => "the platform failed to add it".to_owned(),
            _ => format!("sample refused: it was told to refuse processor {id} "),
        };
        let by = if *id <= 100 { "EIO, A4)" } else { "(STATUS_INSUFFICIENT_RESOURCES, A3)" };
        assert!(why.contains(&because) && why.ends_with(by), "{id}: {why}");
    }
    let status = &events(&stdout(&daemon.ask(&["status", "--json"])))[0];
    let refused = status["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 300, "JSON lists as many");
    let fields = |nth: usize| {
        let mut event = refused[nth].clone();
        assert!(event["time"].take().as_u64() > Some(0), "the time of the refusal");
        assert!(event["reason"].take().is_string());
        event
    };
    let failed = json!({
        "event": "refused", "id": 1, "status": "0xC0000185", "status_name": "STATUS_IO_DEVICE_ERROR",
        "errno": 5, "errno_name": "EIO", "clause": "A4", "reason": null, "time": null,
    });
    assert_eq!(fields(0), failed, "the platform failed, so no party is named");
    let vetoed = json!({
        "event": "refused", "id": 300, "driver": "sample", "status": "0xC000009A",
        "status_name": "STATUS_INSUFFICIENT_RESOURCES", "clause": "A3", "reason": null, "time": null,
    });
    assert_eq!(fields(299), vetoed);
    daemon.end(Signal::TERM);
}
