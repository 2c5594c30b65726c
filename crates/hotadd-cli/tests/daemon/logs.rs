//! The daemon's log: lines, JSON with fields, and a limit on repeated lines.

use hotadd::{HardwareId, Partition};
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Daemon, Stage};

#[test]
fn json_lines_have_fields_for_what_they_are_about() {
    let stage =
        Stage::simulated("simulate = '1+3,fail-start=2'\n[[party]]\ndriver = 'sample:veto=3'\n");
    let mut command = stage.command();
    command.args(["--log-format", "json"]);
    let mut daemon = Daemon::start(stage, command);
    while !daemon.until("{").contains("\"processor\":3") {}
    let lines = daemon.end(Signal::TERM);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: u64| {
        lines.iter().find(|line| line["processor"] == id).expect("a line about the processor")
    };
    let joined = of(1);
    assert_eq!([&joined["event"], &joined["priority"]], ["joined", "notice"], "{joined}");
    assert!(joined["took_us"].is_u64() && joined["time"].is_string(), "{joined}");
    assert!(joined["message"].as_str().unwrap().starts_with("processor 1 joined"), "{joined}");
    assert!(joined.get("errno").is_none() && joined.get("clause").is_none(), "{joined}");
    let failed = of(2);
    assert_eq!([&failed["event"], &failed["clause"]], ["refused", "A4"], "{failed}");
    assert_eq!([&failed["errno"], &failed["priority"]], [&Value::from(5), &"warning".into()]);
    let refused = of(3);
    assert_eq!([&refused["party"], &refused["clause"]], ["sample", "A3"], "{refused}");
    assert!(refused["status"].as_str().unwrap().starts_with("STATUS_"), "{refused}");
    let ended = lines.last().unwrap();
    assert_eq!(ended["message"], "ended; processors 0-1 stay active");
    assert!(
        lines.iter().all(|line| line["target"].is_null()),
        "only the daemon's own lines: {lines:?}"
    );
}

#[test]
fn a_flood_of_lines_is_cut_and_the_missing_lines_are_counted() {
    const TIMES: usize = 1000;
    let stage = Stage::simulated("simulate = '1+1'\n");
    let mut daemon = stage.clone().start();
    daemon.until("processor 1 joined");
    let partition = Partition::connect(stage.path("run/try")).unwrap();
    for _ in 0..TIMES {
        partition.add(HardwareId(7)).unwrap_err();
    }
    let output = daemon.end(Signal::TERM);
    let lines = output.iter().filter(|line| line.starts_with("processor 7 stays out")).count();
    let left_out = |line: &String| -> Option<usize> {
        line.strip_suffix(" lines from processor 7 were dropped")?.parse().ok()
    };
    let left_out: usize = output.iter().filter_map(left_out).sum();
    assert_eq!(lines + left_out, TIMES, "every line is written or counted: {output:#?}");
    assert!(left_out > 0, "no line was left out");
    assert!(output.iter().any(|line| line.starts_with("ended")), "other lines are still written");
}
