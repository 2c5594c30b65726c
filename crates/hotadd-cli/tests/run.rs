//! `hotadd run` on this machine's own processors: the masks of the command, the messages, and the end of a run.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use common::{events, hotadd, names, of, output, stderr, stdout, two_processors};
use rustix::process::{Pid, Signal, kill_process};

#[test]
fn the_command_starts_on_one_processor_and_gets_the_other_while_it_runs() {
    let Some((first, second)) = two_processors("gets the other while it runs") else { return };
    // Waits for its own mask to grow. Without the add it would not end.
    let script = "grep Cpus_allowed_list /proc/self/status; \
                  until [ $(nproc) -gt 1 ]; do :; done; grep Cpus_allowed_list /proc/self/status";
    let list = format!("{second}");
    let start = format!("{first}");
    let output = output(&["run", "--start", &start, "--add", &list, "--", "sh", "-c", script]);
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    let masks: Vec<_> = said.lines().map(|l| l.rsplit('\t').next().unwrap()).collect();
    let both: hotadd::CpuList = format!("{first},{second}").parse().unwrap();
    // The first reading may come after the add, which does not wait for the command.
    assert_eq!(masks.last().unwrap().parse::<hotadd::CpuList>().unwrap(), both, "{said}");
}

#[test]
fn a3_a_vetoed_processor_stays_out_of_the_childs_allowed_list() {
    let Some((first, second)) = two_processors("a veto on real processors") else { return };
    let driver = format!("sample:veto={second}");
    let add = second.to_string();
    let start = first.to_string();
    let output = output(&["run", "--start", &start, "--add", &add, "--driver", &driver, "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    assert_eq!(names(&events)[0], "partition");
    assert_eq!(*names(&events).last().unwrap(), "exit");
    let veto = of(&events, "veto")[0];
    assert_eq!(veto["driver"], "sample");
    assert_eq!(veto["id"], second);
    assert_eq!(veto["status"], "0xC000009A");
    assert_eq!(veto["status_name"], "STATUS_INSUFFICIENT_RESOURCES");
    let refused = of(&events, "refused")[0];
    assert_eq!(refused["clause"], "A3");
    assert_eq!(refused["cpus_allowed_list"], first.to_string(), "the kernel's mask of the child");
    assert!(of(&events, "started").is_empty() && of(&events, "joined").is_empty());
}

#[test]
fn real_processors_join_and_leave_in_the_kernels_mask() {
    let Some((first, second)) = two_processors("join and leave") else { return };
    let both: hotadd::CpuList = format!("{first},{second}").parse().unwrap();
    let (first, second, both) = (first.to_string(), second.to_string(), both.to_string());
    // Each in a run of its own: the mask is read when the line is written, and the next change may precede that.
    let changes: [(&str, &[&str], &str); 2] = [
        ("joined", &["--start", &first, "--add", &second], &both),
        ("left", &["--start", &both, "--add", "none", "--remove", &first], &second),
    ];
    for (event, arguments, after) in changes {
        let output = output(&[&["run", "--every", "1ms", "--json"], arguments].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let events = events(&stdout(&output));
        assert_eq!(of(&events, event)[0]["cpus_allowed_list"], after);
        assert_eq!(of(&events, "exit")[0]["active"], after);
    }
}

#[test]
fn the_first_line_names_the_means_of_confinement_and_why_it_is_not_a_cpuset() {
    let said = |args: &[&str]| {
        let output = output(&[&["run"], args, &["--add", "none", "--", "true"]].concat());
        (output.status.code(), stderr(&output))
    };
    let (code, line) = said(&[]);
    assert_eq!(code, Some(0), "{line}");
    let why = line.split_once("(affinity processors; no cpuset: ");
    let (forced, complaint) = said(&["--over", "cpuset"]);
    match why.and_then(|(_, rest)| rest.trim_end().strip_suffix(')')) {
        Some(why) => {
            assert_eq!(forced, Some(1), "an unavailable choice is not replaced: {complaint}");
            assert_eq!(complaint, format!("hotadd: --over cpuset: {why}\n"));
        }
        None => {
            assert!(line.contains("(cpuset processors of /"), "{line}");
            assert_eq!(forced, Some(0), "{complaint}");
        }
    }
    let (code, line) = said(&["--over", "affinity"]);
    assert_eq!(code, Some(0), "{line}");
    assert!(line.ends_with("(affinity processors)\n"), "nothing needs to be explained: {line}");

    let output = output(&["run", "--json", "--add", "none", "--", "true"]);
    let events = events(&stdout(&output));
    let first = of(&events, "partition")[0];
    let given = |field: &str| !first[field].is_null();
    match first["hardware"].as_str() {
        Some("cpuset") => assert!(given("cgroup") && !given("reason"), "{first}"),
        Some("affinity") => assert!(given("reason") && !given("cgroup"), "{first}"),
        _ => panic!("{first}"),
    }
}

#[test]
fn a4_a_failed_start_is_reported_with_its_errno_and_later_adds_continue() {
    let output = output(&["run", "--simulate", "1+3,fail-start=2", "--every", "1ms", "--json"]);
    let events = events(&stdout(&output));
    let failed = of(&events, "start-failed")[0];
    assert_eq!(
        (&failed["id"], &failed["errno"], &failed["errno_name"]),
        (&2.into(), &5.into(), &"EIO".into())
    );
    assert_eq!(of(&events, "refused")[0]["clause"], "A4");
    let joined: Vec<_> = of(&events, "joined").iter().map(|e| e["id"].as_u64().unwrap()).collect();
    assert_eq!(joined, [1, 3]);
    assert_eq!(of(&events, "exit")[0]["active"], "0-1,3");
}

#[test]
fn no_processor_joins_before_the_delay_given_by_after() {
    let output = output(&["run", "--simulate", "1+1", "--after", "1h", "--json", "--", "true"]);
    assert_eq!(output.status.code(), Some(0), "the run does not wait for it: {}", stderr(&output));
    let all = events(&stdout(&output));
    assert_eq!(names(&all), ["partition", "exit"], "1 was to be added, in an hour");
    assert_eq!(of(&all, "partition")[0]["add"], "1");
}

#[test]
fn planned_adds_are_done_after_the_delay_given_by_after() {
    let began = std::time::Instant::now();
    let args = ["run", "--simulate", "1+2", "--after", "300ms", "--every", "0s", "--json"];
    let output = output(&args);
    assert!(began.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(of(&events(&stdout(&output)), "joined").len(), 2, "{}", stderr(&output));
}

#[test]
fn h2_planned_adds_are_done_with_every_value_of_follow() {
    for follow in ["ask", "report", "no"] {
        let args = ["run", "--simulate", "1+2", "--every", "0s", "--follow", follow, "--json"];
        let all = events(&stdout(&output(&args)));
        assert_eq!(of(&all, "joined").len(), 2, "{follow}");
        assert!(of(&all, "refused").is_empty(), "{follow}: nothing is added twice");
    }
}

#[test]
fn a1_drivers_are_called_by_level_then_in_registration_order() {
    let drivers = [
        "--driver",
        "sample:name=c,level=1",
        "--driver",
        "sample:name=a",
        "--driver",
        "sample:name=b",
    ];
    let args = [&["run", "--simulate", "1+1", "--json"], &drivers[..]].concat();
    let events = events(&stdout(&output(&args)));
    let asked: Vec<_> =
        of(&events, "add-start").into_iter().filter(|e| e["replay"].is_null()).collect();
    let asked: Vec<_> = asked.iter().map(|e| e["driver"].as_str().unwrap()).collect();
    assert_eq!(asked, ["a", "b", "c"], "A1: lower levels first, then in order of registration");
}

#[test]
fn every_event_and_field_is_documented() {
    let documented = include_str!("../../../docs/events.md");
    let runs: [&[&str]; 3] = [
        &["run", "--simulate", "1+4,fail-start=2", "--every", "0s", "--remove", "1", "--json"],
        &[
            "run",
            "--simulate",
            "1+1",
            "--driver",
            "sample",
            "--driver",
            "sample:veto=1,name=b",
            "--json",
        ],
        &["run", "--json", "--every", "1ms", "--", "sh", "-c", "kill -9 $$"],
    ];
    for args in runs {
        for event in events(&stdout(&output(args))) {
            let name = event["event"].as_str().unwrap().to_owned();
            assert!(
                documented.contains(&format!("| `{name}` |")),
                "event {name} is not in docs/events.md"
            );
            for field in event.as_object().unwrap().keys() {
                assert!(
                    documented.contains(&format!("`{field}`")),
                    "field {field} is not in docs/events.md"
                );
            }
        }
    }
}

#[test]
fn the_exit_status_is_the_commands_own() {
    assert_eq!(output(&["run", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(output(&["run", "--", "true"]).status.code(), Some(0));
    let killed = output(&["run", "--json", "--", "sh", "-c", "kill -USR2 $$"]);
    assert_eq!(killed.status.code(), Some(128 + 12), "128 + the signal's number");
    assert_eq!(of(&events(&stdout(&killed)), "exit")[0]["signal"], 12);
}

#[test]
fn a_run_ends_by_sigterm_if_its_command_did() {
    let killed = output(&["run", "--json", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(killed.status.signal(), Some(15), "the run ends by SIGTERM, which is a clean stop");
    let exit = &events(&stdout(&killed));
    let exit = of(exit, "exit")[0];
    assert_eq!(
        (&exit["signal"], &exit["code"]),
        (&15.into(), &(128 + 15).into()),
        "the run has cleaned up"
    );
}

#[test]
fn with_json_the_commands_stdout_goes_to_stderr() {
    let output = output(&["run", "--json", "--", "echo", "hello"]);
    assert!(stderr(&output).contains("hello"));
    assert!(!stdout(&output).contains("hello"));
    events(&stdout(&output));
}

#[test]
fn without_json_only_the_command_writes_to_stdout() {
    let output = output(&["run", "--", "echo", "hello"]);
    assert_eq!(stdout(&output), "hello\n");
    assert!(
        stderr(&output).contains("starting on"),
        "lines for people are on stderr: {}",
        stderr(&output)
    );
}

#[test]
fn events_can_be_written_to_a_file_beside_the_lines() {
    let path = std::env::temp_dir().join(format!("hotadd-events-{}", std::process::id()));
    let output = output(&["run", "--simulate", "1+1", "--events", path.to_str().unwrap()]);
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(of(&events(&written), "joined").len(), 1);
    assert!(stdout(&output).contains("processor 1 joined (index 1, 0:1)"), "{}", stdout(&output));
}

#[test]
fn a_closed_event_reader_does_not_end_the_command() {
    let mut child =
        hotadd(&["run", "--json", "--every", "1ms", "--", "sh", "-c", "sleep 0.2; exit 5"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(5));
}

/// Starts a command that prints its process ids, and reads them.
fn start(script: &str) -> (Child, Vec<Pid>) {
    let mut child = hotadd(&["run", "--add", "none", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pid = |word: &str| Pid::from_raw(word.parse().unwrap()).unwrap();
    let pids = line.split_whitespace().map(pid).collect();
    (child, pids)
}

fn exists(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

/// Waits for the end of a process that is not a child: only its entry in /proc shows it.
fn ends(pid: Pid) -> bool {
    let began = std::time::Instant::now();
    while exists(pid) {
        if began.elapsed().as_secs() > 20 {
            return false;
        }
        // The pause only leaves the processor to those that are waited for.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    true
}

#[test]
fn signals_are_forwarded_to_the_command() {
    for (signal, number) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::USR1, "USR1")] {
        let script = format!("trap 'exit 9' {number}; echo $$; while :; do sleep 0.01; done");
        let (mut child, _) = start(&script);
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(9), "{number}");
    }
}

#[test]
fn no_process_is_left_running_when_the_command_has_ended() {
    // One in the background, one that ignores SIGTERM, and one in its own session.
    let script = "sleep 1000 & a=$!; (trap '' TERM; exec sleep 1001) & b=$!; \
                  c=$(setsid sh -c 'sleep 1002 >/dev/null 2>&1 & echo $!'); echo $a $b $c; read x; exit 4";
    let mut child = hotadd(&["run", "--add", "none", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pids: Vec<_> =
        line.split_whitespace().map(|p| Pid::from_raw(p.parse().unwrap()).unwrap()).collect();
    assert_eq!(pids.len(), 3, "{line}");
    assert!(pids.iter().all(|pid| exists(*pid)), "they must run before they can be ended");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(4));
    for pid in pids {
        assert!(!exists(pid), "process {pid:?} is left running");
    }
}

#[test]
fn the_command_does_not_outlive_a_killed_hotadd() {
    let (mut child, pids) = start("sleep 1000 >/dev/null & echo $$ $!; exec sleep 1000");
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
    assert!(ends(pids[0]), "the command still runs");
    kill_process(pids[1], Signal::KILL).expect("a process that the command started runs on");
}

#[test]
fn a_run_without_a_command_ends_by_the_signal_that_ends_it() {
    let mut child = hotadd(&["run", "--every", "1h"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    assert!(line.contains("starting on"), "{line}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(2), "{rest}");
}

#[test]
fn a_hung_driver_does_not_keep_a_run_from_ending_by_a_signal() {
    let args =
        ["run", "--simulate", "1+1", "--start", "0", "--driver", "sample:delay=600000", "--json"];
    // Registering hangs for ten minutes; only a signal ends it.
    let mut child = hotadd(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(15));
}

#[test]
fn too_many_workers_of_a_sample_are_a_veto_and_not_a_crash() {
    let drivers = ["--driver", "sample"].repeat(3);
    let args = [&["run", "--simulate", "1+2047", "--every", "0s", "--json"], &drivers[..]].concat();
    let output = output(&args);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let events = events(&stdout(&output));
    let refused = of(&events, "refused");
    let reason = refused[0]["reason"].as_str().unwrap();
    assert_eq!(reason, "the samples have reached their limit of 4096 workers");
    assert_eq!(of(&events, "joined").len() + refused.len(), 2047);
}
