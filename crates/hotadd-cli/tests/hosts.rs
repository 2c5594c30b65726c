//! Drivers in processes of their own: every way in which one can fail, and that no other party is harmed (L3).

mod common;

use common::live::{LONG, Live, comes_true};
use common::{events, of, output, stderr, stdout, two_processors};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// The driver fails while it is asked about processor 1.
fn l3(fault: &str, status: &str, reason: &str) {
    let other = Live::start(&["--add", "none", "--driver", "sample:isolated"]);
    let mut live = Live::with(&format!("sample:isolated,name=weak,when-missing=skip,{fault}"));
    let veto = live.until("veto");
    assert_eq!((&veto["driver"], &veto["id"]), (&"weak".into(), &1.into()));
    assert_eq!((&veto["status_name"], &veto["reason"]), (&status.into(), &reason.into()));
    let breach = live.until("breach");
    assert_eq!((&breach["clause"], &breach["driver"]), (&"L3".into(), &"weak".into()));
    let refused = live.until("refused");
    assert_eq!((&refused["clause"], &refused["id"]), (&"A3".into(), &1.into()));
    assert_eq!(live.until("deregistered")["driver"], "weak");
    assert_eq!(live.until("joined")["id"], 2, "the next add works");
    comes_true("its process is gone", || live.hosts().is_empty());
    // A living process has its connection, both ends of its doorbell, its report pipe, and its process handle.
    comes_true("nothing of it is left", || live.held() + 5 == other.held());
    other.end();
    let events = live.end();
    assert_eq!(of(&events, "exit")[0]["active"], "0,2");
    assert_eq!(of(&events, "registered").len(), 1, "it is not started again");
    assert_eq!(of(&events, "breach").len(), 1);
    assert_eq!(of(&events, "deregistered").len(), 1);
}

#[test]
fn l3_a_killed_driver_process_is_a_veto() {
    l3("crash=add-start", "STATUS_PIPE_BROKEN", "its process was killed by SIGKILL");
}

#[test]
fn l3_a_segmentation_fault_is_a_veto() {
    l3("segv=add-start", "STATUS_PIPE_BROKEN", "its process was killed by SIGSEGV");
}

#[test]
fn l3_an_abort_is_a_veto() {
    l3("abort=add-start", "STATUS_PIPE_BROKEN", "its process was killed by SIGABRT");
}

#[test]
fn l3_an_exit_with_status_0_is_a_veto() {
    l3("exit=add-start", "STATUS_PIPE_BROKEN", "its process exited with status 0");
}

#[test]
fn l3_an_exit_with_another_status_is_a_veto() {
    l3("exit=add-start:3", "STATUS_PIPE_BROKEN", "its process exited with status 3");
}

#[test]
fn l3_no_answer_within_the_time_limit_is_a_veto() {
    l3("hang=add-start,timeout=300", "STATUS_IO_TIMEOUT", "no answer in 300 ms");
}

#[test]
fn l3_a_late_answer_is_a_veto() {
    l3("late=add-start,timeout=300", "STATUS_IO_TIMEOUT", "no answer in 300 ms");
}

#[test]
fn l3_an_incomplete_message_is_a_veto() {
    l3("half=add-start,timeout=300", "STATUS_IO_TIMEOUT", "no answer in 300 ms");
}

#[test]
fn l3_an_invalid_message_is_a_veto() {
    let reason = "its connection was closed, because it sent bytes that are not a D-Bus message";
    l3("garbage=add-start", "STATUS_INVALID_NETWORK_RESPONSE", reason);
}

#[test]
fn l3_a_closed_connection_is_a_veto() {
    l3("disconnect=add-start", "STATUS_PIPE_BROKEN", "its connection was closed");
}

#[test]
fn l3_a_crash_after_the_start_deregisters_the_driver() {
    let mut live = Live::with("sample:isolated,when-missing=skip,crash=add-complete");
    let breach = live.until("breach");
    assert_eq!((&breach["clause"], &breach["id"]), (&"L3".into(), &1.into()));
    assert_eq!(breach["reason"], "its process was killed by SIGKILL; it is deregistered");
    live.until("deregistered");
    while live.until("joined")["id"] != 2 {}
    let events = live.end();
    assert!(of(&events, "veto").is_empty());
    assert_eq!(of(&events, "exit")[0]["active"], "0-2");
}

#[test]
fn l3_other_drivers_are_told_the_failure_when_one_crashes() {
    let drivers = [
        "--driver",
        "sample:isolated,name=good",
        "--driver",
        "sample:isolated,name=bad,level=1,when-missing=skip,crash=add-start",
    ];
    let mut live = Live::start(&drivers);
    let failure = live.until("add-failure");
    assert_eq!((&failure["driver"], &failure["id"]), (&"good".into(), &1.into()));
    live.until("joined");
    let events = live.end();
    assert_eq!(of(&events, "deregistered")[0]["driver"], "bad");
}

#[test]
fn l4_a_crashed_driver_refuses_the_next_add_of_a_run_by_its_name() {
    let mut live = Live::with("sample:isolated,name=weak,crash=add-start");
    while live.until("refused")["id"] != 2 {}
    let events = live.end();
    assert_eq!(of(&events, "veto")[0]["id"], 1);
    let missing = of(&events, "missing")[0];
    assert_eq!((&missing["driver"], &missing["clause"]), (&"weak".into(), &"L4".into()));
    assert_eq!(missing["reason"], "its process was killed by SIGKILL");
    let refused = of(&events, "refused");
    let last = refused.last().unwrap();
    assert_eq!((&last["driver"], &last["clause"]), (&"weak".into(), &"L4".into()));
    assert!(of(&events, "joined").is_empty(), "{events:#?}");
    assert_eq!(of(&events, "missing").len(), 1, "{events:#?}");
}

#[test]
fn l4_no_party_is_reported_missing_at_the_end_of_a_run() {
    let script = "exec:/bin/true,when-missing=refuse";
    let live = Live::start(&["--driver", "sample:isolated", "--driver", script]);
    live.begins();
    let events = live.end();
    assert!(of(&events, "missing").is_empty(), "{events:#?}");
    assert!(
        of(&events, "present").is_empty(),
        "the first registration is not reported as a return"
    );
}

#[test]
fn an_isolated_driver_works_like_any_other() {
    let mut live = Live::with("sample:isolated,veto=1,name=good");
    let veto = live.until("veto");
    assert_eq!(veto["reason"], "it was told to refuse processor 1 (veto=1)");
    assert_eq!(veto["status_name"], "STATUS_INSUFFICIENT_RESOURCES");
    assert_eq!(live.until("joined")["id"], 2);
    assert_eq!(live.hosts().len(), 1);
    let events = live.end();
    assert!(of(&events, "breach").is_empty(), "it deregisters at the end: {events:#?}");
}

#[test]
fn a_driver_process_that_dies_while_idle_is_deregistered() {
    let mut live = Live::start(&["--add", "none", "--driver", "sample:isolated,name=idle"]);
    live.begins();
    let (pid, words) = live.hosts().remove(0);
    assert!(words.contains(" host "), "{words}");
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert_eq!(live.until("deregistered")["driver"], "idle");
    live.end();
}

#[test]
fn a_driver_process_that_died_is_restarted_if_configured_and_gets_the_replay() {
    let driver = "sample:isolated,crash=add-start,restart=1";
    let mut live = Live::start(&["--add", "1", "--driver", driver]);
    live.until("registered");
    live.until("veto");
    live.until("deregistered");
    // The events about it as a missing party (L4) may come before or after.
    let told = live.until("add-start");
    assert_eq!((&told["replay"], &told["id"]), (&true.into(), &0.into()));
    live.until("registered");
    assert_eq!(live.until("present")["driver"], "sample", "L4: it is present again");
    assert_eq!(live.hosts().len(), 1);
    live.end();
}

#[test]
fn the_number_of_restarts_is_limited() {
    let mut live = Live::start(&["--add", "none", "--driver", "sample:isolated,restart=2"]);
    live.begins();
    for _ in 0..3 {
        live.until("registered");
        let (pid, _) = live.hosts().remove(0);
        kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
        live.until("deregistered");
    }
    comes_true("its process is gone", || live.hosts().is_empty());
    assert_eq!(of(&live.end(), "registered").len(), 3);
}

#[test]
fn r4_an_isolated_driver_that_refuses_an_active_processor_keeps_the_run_from_beginning() {
    let args =
        ["run", "--simulate", "1+1", "--json", "--driver", "sample:isolated,veto=0,restart=3"];
    let output = output(&args);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("sample did not register: ") && said.contains("(veto=0)"), "{said}");
    assert!(of(&events(&stdout(&output)), "registered").is_empty());
}

#[test]
fn l3_a_driver_that_hangs_while_registering_keeps_the_run_from_beginning() {
    let driver = "sample:isolated,delay=600000,timeout=200";
    let output = output(&["run", "--simulate", "1+1", "--json", "--driver", driver]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no answer in 200 ms"), "{}", stderr(&output));
}

#[test]
fn l3_a_driver_that_crashes_while_registering_is_named_with_the_cause() {
    for (fault, happened) in [
        ("crash=add-start", "its process was killed by SIGKILL"),
        ("exit=add-complete:3", "its process exited with status 3"),
        ("veto=1,segv=add-failure", "its process was killed by SIGSEGV"),
        (
            "garbage=add-complete",
            "its connection was closed, because it sent bytes that are not a D-Bus \
         message",
        ),
    ] {
        let driver = format!("sample:isolated,name=weak,replay,{fault}");
        let output = output(&["run", "--simulate", "2+1", "--json", "--driver", &driver]);
        assert_eq!(output.status.code(), Some(1), "{fault}: the run does not begin");
        let said = stderr(&output);
        assert!(said.contains("weak did not register: ") && said.contains(happened), "{said}");
        let events = events(&stdout(&output));
        assert!(of(&events, "registered").is_empty(), "L3: {fault}: it is not registered");
    }
}

#[test]
fn a_driver_process_does_not_outlive_a_killed_run() {
    let mut live = Live::start(&["--add", "none", "--driver", "sample:isolated"]);
    live.begins();
    let (pid, _) = live.hosts().remove(0);
    let host = pidfd_open(Pid::from_raw(pid.cast_signed()).unwrap(), PidfdFlags::empty()).unwrap();
    live.run.kill().unwrap();
    let mut ended = [PollFd::new(&host, PollFlags::IN)];
    let long = Timespec::try_from(LONG).unwrap();
    assert_eq!(poll(&mut ended, Some(&long)).unwrap(), 1, "it ends by itself");
}

#[test]
fn a_driver_process_does_not_block_real_processors() {
    let Some((first, second)) = two_processors("hosts on real processors") else { return };
    let (start, add) = (first.to_string(), second.to_string());
    let args = [
        "run",
        "--start",
        &start,
        "--add",
        &add,
        "--remove",
        &start,
        "--every",
        "1ms",
        "--json",
        "--driver",
        "sample:isolated",
    ];
    let output = output(&args);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    assert!(of(&events, "breach").is_empty(), "{}", stdout(&output));
    assert_eq!(of(&events, "exit")[0]["active"], add, "{}", stdout(&output));
}

#[test]
fn the_internal_host_command_refuses_direct_use() {
    let output = output(&["host", "--time-limit", "1000", "sample:isolated"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("`hotadd host` is started by `hotadd run`"));
}
