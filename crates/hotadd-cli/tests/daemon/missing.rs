//! L4: a missing party of the configuration does not consent, and how it comes back.

use std::fs;
use std::os::unix::net::UnixDatagram;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::common::live::{LONG, children_of, comes_true};
use crate::common::{events, of, stdout};
use crate::notification;
use crate::stage::{Daemon, Stage};

const ANEW: &str = "the configuration was reloaded";
const KEYS: &str = "[hardware]\nkind = 'simulated'\nsimulate = '2+4'\nat-start = 'leave'\n";

/// A script that records its calls. While the file `once` exists, it fails once in this way when it is asked
/// about processor 2.
fn failing_once(stage: &Stage, fails: &str) -> String {
    let fails = format!(
        "echo \"$1 $HOTADD_ID\" >>$stage/ready.heard\n\
         [ \"$1 $HOTADD_ID\" != 'add-start 2' ] || [ ! -e $stage/once ] || {{ rm $stage/once; {fails}; }}"
    );
    fs::write(stage.path("once"), "").unwrap();
    stage.script("ready", &fails)
}

fn heard(stage: &Stage) -> String {
    fs::read_to_string(stage.path("ready.heard")).unwrap_or_default()
}

/// A daemon with this party. Processors 0 and 1 of 6 are active. `keys` are the party's other keys.
fn with(stage: &Stage, driver: &str, keys: &str) -> Daemon {
    stage.write(&format!("{KEYS}[[party]]\ndriver = '{driver}'\n{keys}\n"));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    daemon
}

/// The message of an add that is refused.
fn refused(daemon: &Daemon, id: &str) -> String {
    let add = daemon.ask(&["add", id]);
    assert_eq!(add.status.code(), Some(1), "{}", stdout(&add));
    stdout(&add)
}

fn joins(daemon: &Daemon, id: &str) {
    let add = daemon.ask(&["add", id]);
    assert_eq!(add.status.code(), Some(0), "{}", stdout(&add));
}

fn one(daemon: &Daemon, args: &[&str]) -> Value {
    let mut output = events(&stdout(&daemon.ask(&[args, &["--json"]].concat())));
    assert_eq!(output.len(), 1, "{output:?}");
    output.remove(0)
}

fn reload(daemon: &mut Daemon) {
    daemon.send(Signal::HUP);
    daemon.until(ANEW);
}

/// A script that failed once for this reason is missing, and a reload with an equal configuration brings it back.
fn missing_until_a_reload(fails: &str, options: &str, reason: &str) {
    let stage = Stage::new("");
    let script = failing_once(&stage, fails);
    let mut daemon = with(&stage, &format!("exec:{script}{options}"), "");
    let first = refused(&daemon, "2");
    assert!(
        first.contains("ready refused to add processor 2") && first.contains(reason),
        "{first}"
    );
    let line = daemon.until("degraded: ready is missing since ");
    assert!(line.contains(reason) && line.contains("`hotadd parties --restart ready`"), "{line}");

    let before = heard(&stage);
    let next = refused(&daemon, "3");
    let lead = "ready is missing, and processor 3 is not added without it: ";
    assert!(
        next.starts_with(lead) && next.contains(reason),
        "L4: the refusal names the party: {next}"
    );
    let output = one(&daemon, &["add", "3"]);
    let named = (&output["event"], &output["error"], &output["driver"]);
    assert_eq!(named, (&"refused".into(), &"Missing".into(), &"ready".into()), "{output}");
    assert_eq!(heard(&stage), before, "it is not asked");
    let status = stdout(&daemon.ask(&["status"]));
    assert!(status.contains("processor 3 stays out: ready refused: it is missing: "), "{status}");

    reload(&mut daemon);
    joins(&daemon, "3");
    assert!(heard(&stage).ends_with("add-start 3\nadd-complete 3\n"), "it is asked again");
    assert!(
        heard(&stage).contains("add-start 0\nadd-start 1\n"),
        "R3: it gets a replay of the active processors"
    );
    let history = daemon.history();
    let gone = of(&history, "missing");
    let output = (&gone[0]["driver"], &gone[0]["clause"]);
    assert_eq!((gone.len(), output), (1, (&"ready".into(), &"L4".into())));
    assert!(gone[0]["reason"].as_str().is_some_and(|why| why.contains(reason)), "{gone:?}");
    assert_eq!(of(&history, "present").len(), 1, "{history:#?}");
    let output = daemon.end(Signal::TERM);
    assert!(
        output.iter().any(|line| line == "ready is registered again and is asked as before"),
        "{output:#?}"
    );
}

#[test]
fn l4_a_script_killed_by_a_signal_is_missing_until_a_reload() {
    missing_until_a_reload("kill -KILL $$", "", "was killed by SIGKILL");
}

#[test]
fn l4_a_script_that_exceeded_its_time_limit_is_missing_until_a_reload() {
    missing_until_a_reload("exec sleep 1000", ",timeout=2000", "no answer in 2 s");
}

fn kill_host(daemon: &Daemon) {
    let hosts = children_of(daemon.process.id());
    let (pid, _) = hosts.iter().find(|(_, words)| words.contains(" host ")).expect("it has one");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn l4_a_driver_whose_process_is_killed_between_adds_is_missing_until_a_reload() {
    let stage = Stage::new("");
    let mut daemon = with(&stage, "sample:isolated,name=apart", "");
    joins(&daemon, "2");
    kill_host(&daemon);
    // The add is refused at once, whether or not the daemon has noticed yet.
    let output = refused(&daemon, "3");
    assert!(output.contains("apart") && output.contains("processor 3"), "{output}");
    let line = daemon.until("degraded: apart is missing since ");
    assert!(line.contains("its process was killed by SIGKILL"), "{line}");
    let output = refused(&daemon, "3");
    assert!(
        output.starts_with("apart is missing, and processor 3 is not added without it: "),
        "{output}"
    );
    reload(&mut daemon);
    joins(&daemon, "3");
    daemon.end(Signal::TERM);
}

#[test]
fn l4_a_driver_whose_process_is_killed_during_an_add_refuses_this_add_and_the_next() {
    let stage = Stage::new("");
    let mut daemon = with(&stage, "sample:isolated,name=apart,hang=add-start,timeout=600000", "");
    let socket = stage.path("run/try");
    let add = std::thread::spawn(move || {
        crate::common::hotadd(&["add", "2", "-p", &socket]).output().unwrap()
    });
    comes_true("it is being asked", || {
        stdout(&daemon.ask(&["status"])).contains("waiting for apart")
    });
    kill_host(&daemon);
    let add = add.join().unwrap();
    assert_eq!(add.status.code(), Some(1));
    let output = stdout(&add);
    assert!(
        output.contains("apart refused to add processor 2: its process was killed by SIGKILL"),
        "{output}"
    );
    let output = refused(&daemon, "3");
    assert!(output.starts_with("apart is missing, and processor 3"), "{output}");
    daemon.until("degraded: apart is missing since ");
    assert_eq!(daemon.ask(&["parties", "--restart", "apart"]).status.code(), Some(0));
    daemon.until("apart is registered again");
    assert!(!stdout(&daemon.ask(&["status"])).contains("degraded"));
    daemon.end(Signal::TERM);
}

#[test]
fn l4_a_skippable_party_that_failed_does_not_refuse_later_adds() {
    for (options, key) in [(",when-missing=skip", ""), ("", "when-missing = 'skip'")] {
        let stage = Stage::new("");
        let script = failing_once(&stage, "kill -KILL $$");
        let mut daemon = with(&stage, &format!("exec:{script}{options}"), key);
        refused(&daemon, "2");
        joins(&daemon, "3");
        assert!(!stdout(&daemon.ask(&["status"])).contains("degraded"));
        // A reload registers it again nevertheless.
        reload(&mut daemon);
        joins(&daemon, "4");
        assert!(heard(&stage).ends_with("add-start 4\nadd-complete 4\n"));
        let output = daemon.end(Signal::TERM);
        assert!(!output.iter().any(|line| line.contains("is missing")), "{output:#?}");
    }
}

#[test]
fn l4_a_script_with_a_restart_limit_is_registered_again_up_to_the_limit() {
    let stage = Stage::new("");
    let script = failing_once(&stage, "kill -KILL $$");
    let mut daemon = with(&stage, &format!("exec:{script},restart=1"), "");
    refused(&daemon, "2");
    daemon.until("ready is registered again");
    assert!(heard(&stage).ends_with("add-complete 0\nadd-complete 1\n"), "R3: {}", heard(&stage));
    joins(&daemon, "3");
    fs::write(stage.path("once"), "").unwrap();
    refused(&daemon, "2");
    daemon.until("degraded: ready is missing since ");
    let output = refused(&daemon, "4");
    assert!(output.starts_with("ready is missing, and processor 4"), "{output}");
    daemon.end(Signal::TERM);
}

#[test]
fn l4_a_party_can_be_restarted_by_name_whether_registered_or_missing() {
    let stage = Stage::new("");
    let script = failing_once(&stage, "kill -KILL $$");
    let mut daemon = with(&stage, &format!("exec:{script}"), "");
    let restart = |daemon: &Daemon, name: &str| {
        let output = daemon.ask(&["parties", "--restart", name]);
        (output.status.code(), stdout(&output))
    };
    refused(&daemon, "2");
    assert_eq!(restart(&daemon, "ready"), (Some(0), "ready is registered\n".to_owned()));
    joins(&daemon, "3");
    let before = heard(&stage).len();
    assert_eq!(restart(&daemon, "ready").0, Some(0), "a registered party is also restarted");
    daemon.until("driver ready deregistered");
    daemon.until("ready is registered again");
    let replay =
        "add-start 0\nadd-start 1\nadd-start 3\nadd-complete 0\nadd-complete 1\nadd-complete 3\n";
    assert_eq!(heard(&stage)[before..], *replay, "R3");
    let answer = one(&daemon, &["parties", "--restart", "ready"]);
    assert_eq!((&answer["name"], &answer["restarted"]), (&"ready".into(), &true.into()));

    // A party that refuses an active processor is not registered. From then on it is missing.
    stage.script("ready", "echo 'no room' >&2; exit 1");
    let (code, output) = restart(&daemon, "ready");
    assert_eq!(code, Some(1));
    assert!(
        output.starts_with("ready is not registered: it refused processor 0")
            && output.contains("no room"),
        "{output}"
    );
    let answer = one(&daemon, &["parties", "--restart", "ready"]);
    assert_eq!((&answer["restarted"], &answer["error"]), (&false.into(), &"NotStarted".into()));
    let output = refused(&daemon, "4");
    assert!(output.starts_with("ready is missing") && output.contains("no room"), "{output}");
    let (code, output) = restart(&daemon, "nobody");
    assert_eq!(code, Some(1));
    assert!(output.starts_with("nobody is not a party of the configuration"), "{output}");
    daemon.end(Signal::TERM);
}

#[test]
fn l4_parties_with_the_same_name_restart_together_and_are_called_last_in_their_level() {
    let stage = Stage::new("");
    let party = |driver: &str| format!("[[party]]\ndriver = '{driver}'\n");
    let twin = party("sample:name=twin");
    stage.write(&format!("{KEYS}{twin}{}{twin}", party("sample")));
    let mut daemon = stage.clone().start();
    daemon.until("simulated processors");
    let names = |daemon: &Daemon| -> Vec<String> {
        let listed = events(&stdout(&daemon.ask(&["parties", "--json"])));
        listed.iter().map(|party| party["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&daemon), ["twin", "sample", "twin"]);
    let restarted = daemon.ask(&["parties", "--restart", "twin"]);
    assert_eq!(restarted.status.code(), Some(0), "{}", stdout(&restarted));
    assert_eq!(names(&daemon), ["sample", "twin", "twin"], "the order of the calls (A1)");
    joins(&daemon, "2");
    daemon.end(Signal::TERM);
}

#[test]
fn l4_a_daemon_with_a_missing_party_begins_refuses_adds_and_reports_it_everywhere() {
    let stage = Stage::new("");
    let path = stage.path("ready");
    stage
        .write(&format!("{KEYS}[[party]]\ndriver = 'exec:{path}'\n[[party]]\ndriver = 'sample'\n"));
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut command = stage.command();
    command.env("NOTIFY_SOCKET", stage.path("notify"));
    let mut daemon = Daemon::start(stage.clone(), command);
    let why = format!("{path} does not exist");
    let line = daemon.until("degraded: ready is missing since ");
    assert!(line.contains(&why), "the log line: {line}");
    daemon.until("simulated processors");
    let until = |what: &str, is: bool| {
        std::iter::repeat_with(|| notification(&socket))
            .find(|output| output.contains("STATUS=") && output.contains(what) == is)
    };
    let shown = until("degraded: ready is missing since ", true).unwrap_or_default();
    assert!(shown.contains(&why) && shown.contains("`hotadd parties --restart ready`"), "{shown}");
    for question in ["status", "parties"] {
        let output = stdout(&daemon.ask(&[question]));
        let line =
            output.lines().find(|line| line.starts_with("degraded: ready is missing since "));
        let line = line.unwrap_or_else(|| panic!("{question}: {output}"));
        assert!(line.contains(&why) && line.contains("`hotadd parties --restart ready`"), "{line}");
        assert!(output.contains("sample (#"), "the other party is listed: {output}");
    }
    let gone = one(&daemon, &["status"])["missing"][0].clone();
    let listed = events(&stdout(&daemon.ask(&["parties", "--json"])));
    assert!(listed.contains(&gone), "{listed:?}");
    assert_eq!((&gone["name"], &gone["missing"]), (&"ready".into(), &true.into()));
    assert!(gone["since"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000), "{gone}");
    assert_eq!(
        (&gone["reason"], &gone["status_name"]),
        (&why.into(), &"STATUS_UNSUCCESSFUL".into())
    );
    let output = refused(&daemon, "2");
    assert!(
        output.starts_with("ready is missing, and processor 2 is not added without it"),
        "{output}"
    );

    stage.script("ready", "");
    reload(&mut daemon);
    assert!(
        until("degraded", false).is_some(),
        "the service manager is told that all parties are present"
    );
    joins(&daemon, "2");
    assert_eq!(one(&daemon, &["status"])["missing"], serde_json::json!([]));
    daemon.end(Signal::TERM);
}

#[test]
fn l4_a_processor_refused_for_a_missing_party_is_undecided_for_the_next_daemon() {
    let stage = Stage::new("");
    let path = stage.path("ready");
    let keys = KEYS.replace("at-start = 'leave'\n", "");
    stage.write(&format!("{keys}[[party]]\ndriver = 'exec:{path}'\n"));
    let mut daemon = stage.clone().start();
    let line = daemon.until("processor 2 stays out: ready refused: it is missing: ");
    assert!(line.contains("L4"), "{line}");
    daemon.end(Signal::TERM);
    stage.script("ready", "");
    let mut daemon = stage.start();
    daemon.until("processor 2 joined");
    daemon.end(Signal::TERM);
}
