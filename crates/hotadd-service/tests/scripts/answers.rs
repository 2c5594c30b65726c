//! How the end of a program is interpreted.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Duration;

use hotadd::{HardwareId, Status};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::process::{Pid, Signal, getpid, kill_process, set_child_subreaper};

use crate::fixture::{Fixture, LONG, Rig};

#[test]
fn a_script_that_exits_with_0_agrees_and_is_told_every_state() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "echo \"$1 $HOTADD_STATE $HOTADD_ID\" >>$here/log");
    let rig = Rig::new(&path, LONG);
    rig.add(1).unwrap();
    rig.partition.remove(HardwareId(1)).unwrap();
    assert!(rig.partition.rehearse(HardwareId(2)).unwrap().is_agreed());
    let heard = "add-start add-start 1\nadd-complete add-complete 1\n\
                 remove-start remove-start 1\nremove-complete remove-complete 1\n\
                 add-start add-start 2\nadd-failure add-failure 2\n";
    assert_eq!(fixture.read("log"), heard);
    assert!(rig.breaches().is_empty());
}

#[test]
fn r3_a_script_gets_the_replay_of_active_processors() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "echo \"$1 $HOTADD_ID\" >>$here/log");
    let simulated = hotadd::hardware::Simulated::new(2, 0).unwrap();
    let partition = hotadd::Partition::simulated(&simulated).unwrap();
    let script = hotadd_service::script::Script::new(&path).unwrap();
    let _registration = partition.registration("hook").at_once().register(script).unwrap();
    assert_eq!(fixture.read("log"), "add-start 0\nadd-start 1\nadd-complete 0\nadd-complete 1\n");
}

#[test]
fn a_script_that_exits_with_another_status_refuses_with_the_last_line_of_its_stderr() {
    let fixture = Fixture::new();
    let path =
        fixture.script("hook", "echo first >&2; echo 'no room for it' >&2; echo >&2; exit 9");
    let rig = Rig::new(&path, LONG);
    let error = rig.add(1).unwrap_err();
    assert_eq!((error.status(), &*error.reason()), (Status::UNSUCCESSFUL, "no room for it"));
    assert!(rig.registration.is_registered(), "a refusal is not a crash");
}

#[test]
fn a3_every_exit_status_but_0_is_a_veto_and_not_a_crash() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.script("hook", "read code <$here/code; exit $code"), LONG);
    for code in 1..=255 {
        std::fs::write(fixture.path("code"), format!("{code}\n")).unwrap();
        let error = rig.add(1).expect_err("only 0 agrees");
        let said = format!("it exited with status {code}");
        assert_eq!((error.status(), error.reason()), (Status::UNSUCCESSFUL, said));
        assert!(
            rig.registration.is_registered(),
            "exit status {code} is a refusal and not a crash"
        );
    }
    std::fs::write(fixture.path("code"), "0\n").unwrap();
    rig.add(1).expect("0 agrees");
}

#[test]
fn q5_a_script_can_refuse_by_the_hardware_id_in_its_second_argument() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.script("hook", "[ \"$1 $2\" != 'add-start 1' ]"), LONG);
    let error = rig.add(1).expect_err("a script that refuses processor 1");
    assert_eq!(error.status(), Status::UNSUCCESSFUL);
    rig.add(2).expect("and no other");
}

#[test]
fn without_output_the_exit_status_is_the_reason() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.script("hook", "echo not this one; exit 3"), LONG);
    assert_eq!(rig.refusal(1), "it exited with status 3");
}

#[test]
fn l3_a_script_killed_by_a_signal_has_crashed_and_is_deregistered() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.script("hook", "kill -SEGV $$"), LONG);
    assert_eq!(rig.refusal(1), "it was killed by SIGSEGV");
    assert!(!rig.registration.is_registered());
    let deregistered = ("L3", "it was killed by SIGSEGV; it is deregistered".to_owned());
    assert_eq!(rig.breaches(), [deregistered]);
    rig.add(1).unwrap();
}

#[test]
fn l3_a_script_beyond_its_time_limit_is_killed_with_its_process_group() {
    // Orphans become our children and are waited for.
    set_child_subreaper(Some(getpid())).unwrap();
    let fixture = Fixture::new();
    let fifo = fixture.path("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let ours: OwnedFd = open(&fifo, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
    // The script and its descendants hold the other end.
    let path =
        fixture.script("hook", "exec 3>$here/fifo; echo up >&3; sh -c 'sleep 1000 & wait' & wait");
    let rig = Rig::new(&path, Duration::from_secs(1));
    assert_eq!(rig.refusal(1), "no answer in 1 s");
    assert!(!rig.registration.is_registered());
    // Reading ends only when no process holds the other end.
    rustix::io::ioctl_fionbio(&ours, false).unwrap();
    let mut said = String::new();
    File::from(ours).read_to_string(&mut said).unwrap();
    assert_eq!(said, "up\n");
    rig.add(1).unwrap();
}

#[test]
fn l3_a_process_that_left_the_group_of_a_killed_script_keeps_running() {
    let fixture = Fixture::new();
    let body = "setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >$here/pid; wait";
    let rig = Rig::new(&fixture.script("hook", body), Duration::from_secs(1));
    assert_eq!(rig.refusal(1), "no answer in 1 s");
    let pid = fixture.read("pid").trim().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::KILL).expect("it was not killed before");
}

#[test]
fn a_flood_on_stderr_is_read_and_its_last_line_is_the_reason() {
    let fixture = Fixture::new();
    let body =
        "yes 'a line of many' | head -c 10000000 >&2; echo >&2; echo 'last words' >&2; exit 1";
    let rig = Rig::new(&fixture.script("hook", body), LONG);
    assert_eq!(rig.refusal(1), "last words");
}

#[test]
fn l3_an_endless_flood_on_stderr_ends_at_the_time_limit() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.script("hook", "exec yes >&2"), Duration::from_millis(300));
    assert_eq!(rig.refusal(1), "no answer in 300 ms");
    assert!(!rig.registration.is_registered());
}

#[test]
fn processes_that_a_script_leaves_running_are_not_waited_for() {
    let fixture = Fixture::new();
    let rig = Rig::new(
        &fixture.script("hook", "[ $1 = add-start ] || exit 0; sleep 1000 & echo $! >$here/pid"),
        LONG,
    );
    rig.add(1).unwrap();
    let pid = fixture.read("pid").trim().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::KILL).expect("it runs on, with our end of its stderr closed");
}

#[test]
fn a6_an_error_in_an_outcome_changes_nothing_and_is_reported() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "[ $1 != add-complete ] || { echo too late >&2; exit 1; }");
    let rig = Rig::new(&path, LONG);
    rig.add(1).unwrap();
    let (clause, reason) = &rig.breaches()[0];
    assert_eq!(*clause, "A6");
    assert!(reason.contains("too late"), "{reason}");
    assert!(rig.registration.is_registered());
}

#[test]
fn scripts_of_one_level_run_at_the_same_time() {
    let fixture = Fixture::new();
    let meet = |mine: &str, other: &str| {
        format!(
            "[ $1 = add-start ] || exit 0; touch $here/{mine}; until [ -e $here/{other} ]; do sleep 0.01; done"
        )
    };
    let rig = Rig::new(&fixture.script("one", &meet("a", "b")), LONG);
    let script =
        hotadd_service::script::Script::new(&fixture.script("two", &meet("b", "a"))).unwrap();
    let _two =
        rig.partition.registration("two").at_once().without_replay().register(script).unwrap();
    // Each waits for the other. One after the other, they would never end.
    rig.add(1).unwrap();
}
