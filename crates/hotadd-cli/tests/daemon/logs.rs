//! What the daemon logs: lines, JSON with fields, and no more of it than is worth writing down.

use hotadd::{HardwareId, Partition};
use rustix::process::Signal;
use serde_json::Value;

use crate::stage::{Daemon, Stage};

#[test]
fn as_json_each_line_says_what_it_is_about() {
    let stage =
        Stage::simulated("simulate = '1+3,fail-start=2'\n[[party]]\ndriver = 'sample:veto=3'\n");
    let mut command = stage.command();
    command.args(["--log-format", "json"]);
    let mut daemon = Daemon::start(stage, command);
    while !daemon.until("{").contains("\"processor\":3") {}
    let lines = daemon.end(Signal::TERM);
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |id: u64| lines.iter().find(|line| line["processor"] == id).expect("it is said");
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
    assert!(lines.iter().all(|line| line["target"].is_null()), "nobody else's lines: {lines:?}");
}

#[test]
fn who_says_too_much_is_left_out_and_how_much_is_said() {
    const TIMES: usize = 1000;
    let stage = Stage::simulated("simulate = '1+1'\n");
    let mut daemon = stage.clone().start();
    daemon.until("processor 1 joined");
    let partition = Partition::connect(stage.path("run/try")).unwrap();
    for _ in 0..TIMES {
        partition.add(HardwareId(7)).unwrap_err();
    }
    let said = daemon.end(Signal::TERM);
    let lines = said.iter().filter(|line| line.starts_with("processor 7 stays out")).count();
    let left_out = |line: &String| -> Option<usize> {
        line.strip_suffix(" lines from processor 7 were dropped")?.parse().ok()
    };
    let left_out: usize = said.iter().filter_map(left_out).sum();
    assert_eq!(lines + left_out, TIMES, "none is lost without a word: {said:#?}");
    assert!(left_out > 0, "all of it was written down");
    assert!(said.iter().any(|line| line.starts_with("ended")), "what else happens is said");
}
