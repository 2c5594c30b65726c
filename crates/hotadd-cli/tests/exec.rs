//! Programs as parties: `--driver exec:PATH`.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Output;

use common::{events, of, output, stderr, stdout, two_processors};
use tempfile::TempDir;

/// A script of this test. Another process writes it: a file that is open for writing cannot be run, and a
/// child that another test starts meanwhile would inherit the open file.
fn script(name: &str, body: &str) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    let text = format!("#!/bin/sh\n{body}\n").replace("$here", dir.path().to_str().unwrap());
    let mut writer = std::process::Command::new("sh");
    writer.args(["-c", "printf %s \"$1\" >\"$2\"", "sh", &text]).arg(&path);
    assert!(writer.status().unwrap().success());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, path)
}

fn run(driver: &str, more: &[&str]) -> Output {
    output(
        &[&["run", "--simulate", "1+2", "--every", "0s", "--json", "--driver", driver], more]
            .concat(),
    )
}

#[test]
fn a3_a_program_refuses_a_processor_with_a_reason() {
    let (_dir, path) =
        script("picky", "[ $HOTADD_ID != 1 ] || { echo 'not this one' >&2; exit 1; }");
    let output = run(&format!("exec:{},level=2", path.display()), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    let veto = of(&events, "veto")[0];
    assert_eq!((&veto["driver"], &veto["id"]), (&"picky".into(), &1.into()));
    assert_eq!(veto["reason"], "not this one");
    assert_eq!(of(&events, "joined")[0]["id"], 2);
    assert_eq!(of(&events, "exit")[0]["active"], "0,2");
}

/// The script that `docs/scripts.md` shows, with its first line.
fn documented() -> &'static str {
    let page = include_str!("../../../docs/scripts.md");
    let (_, block) = page.split_once("```sh\n").expect("the page shows a script");
    block.split("```").next().unwrap()
}

#[test]
fn a3_the_documented_script_refuses_only_the_documented_processor() {
    let body = documented().strip_prefix("#!/bin/sh\n").expect("a first line");
    let (_dir, path) = script("ready", body);
    let driver = format!("exec:{}", path.display());
    // Processor 1 is active from the beginning, so the script must agree to it (R3).
    let active =
        output(&["run", "--simulate", "2+1", "--every", "0s", "--json", "--driver", &driver]);
    assert!(active.status.success(), "{}", stderr(&active));
    assert_eq!(of(&events(&stdout(&active)), "exit")[0]["active"], "0-2");
    let output = run(&driver, &["--remove", "2"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    let veto = of(&events, "veto")[0];
    assert_eq!(
        (&veto["id"], &veto["reason"]),
        (&1.into(), &"there is no room for processor 1".into())
    );
    assert_eq!(of(&events, "left")[0]["id"], 2);
    assert_eq!(of(&events, "exit")[0]["active"], "0");
    assert!(of(&events, "breach").is_empty(), "{}", stdout(&output));
}

#[test]
fn r2_a_program_with_later_gets_no_replay() {
    let (_dir, path) = script("log", "echo \"$1 $2 $HOTADD_REPLAY\" >>$here/heard");
    for (option, replay) in [(",later", ""), ("", "add-start 0 1\nadd-complete 0 1\n")] {
        let output = run(&format!("exec:{}{option}", path.display()), &["--add", "2"]);
        assert!(output.status.success(), "{}", stderr(&output));
        let heard = path.with_file_name("heard");
        let expected = format!("{replay}add-start 2 0\nadd-complete 2 0\n");
        assert_eq!(fs::read_to_string(&heard).unwrap(), expected, "exec:PATH{option}");
        fs::remove_file(heard).unwrap();
    }
}

#[test]
fn l3_a_program_that_exceeds_its_time_limit_is_deregistered_and_killed() {
    let (_dir, path) = script("stuck", "[ $1$HOTADD_ID != add-start1 ] || exec sleep 1000");
    for (option, timeout) in [(",timeout=200", "5s"), ("", "200ms")] {
        let output = run(
            &format!("exec:{}{option},when-missing=skip", path.display()),
            &["--timeout", timeout],
        );
        assert!(output.status.success(), "{}", stderr(&output));
        let events = events(&stdout(&output));
        assert_eq!(of(&events, "veto")[0]["reason"], "no answer in 200 ms");
        assert_eq!(of(&events, "breach")[0]["clause"], "L3");
        assert_eq!(of(&events, "deregistered")[0]["driver"], "stuck");
        assert_eq!(of(&events, "joined")[0]["id"], 2, "the next add works");
    }
}

#[test]
fn l4_a_program_that_exceeded_its_time_limit_is_missing_and_refuses_adds() {
    let (_dir, path) = script("stuck", "[ $1$HOTADD_ID != add-start1 ] || exec sleep 1000");
    let output = run(&format!("exec:{},timeout=200", path.display()), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    assert_eq!(of(&events, "missing")[0]["driver"], "stuck");
    let refused = of(&events, "refused");
    let by = |at: usize| (&refused[at]["id"], &refused[at]["driver"], &refused[at]["clause"]);
    assert_eq!(by(0), (&1.into(), &"stuck".into(), &"A3".into()));
    assert_eq!(by(1), (&2.into(), &"stuck".into(), &"L4".into()));
    assert_eq!(of(&events, "exit")[0]["active"], "0");
}

#[test]
fn a_program_that_cannot_be_run_keeps_the_run_from_beginning() {
    let output = run("exec:/nonexistent/hook", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent/hook does not exist"), "{}", stderr(&output));
}

#[test]
fn r4_a_program_that_refuses_an_active_processor_keeps_the_run_from_beginning() {
    let (_dir, path) = script("never", "echo 'not even the first' >&2; exit 1");
    let output = run(&format!("exec:{}", path.display()), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("not even the first"), "{}", stderr(&output));
}

#[test]
fn a_program_runs_on_the_partitions_processors_and_does_not_block_a_removal() {
    let Some((first, second)) = two_processors("programs on real processors") else { return };
    let (_dir, path) = script("mask", "echo $1 $(nproc) >>$here/masks");
    let (start, add) = (first.to_string(), second.to_string());
    let driver = format!("exec:{}", path.display());
    let output = output(&[
        "run", "--start", &start, "--add", &add, "--remove", &start, "--every", "1ms", "--json",
        "--driver", &driver,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let events = events(&stdout(&output));
    assert_eq!(of(&events, "exit")[0]["active"], add, "{}", stdout(&output));
    assert!(of(&events, "breach").is_empty(), "{}", stdout(&output));
    let masks = fs::read_to_string(path.with_file_name("masks")).unwrap();
    let expected = "add-start 1\nadd-complete 1\nadd-start 1\nadd-complete 2\nremove-start 2\nremove-complete 1\n";
    assert_eq!(masks, expected);
}

#[test]
fn processes_that_a_program_leaves_running_end_with_the_run() {
    let body = "[ $1 = add-start ] && [ $HOTADD_ID = 1 ] || exit 0\n\
                setsid sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >$here/pid";
    let (_dir, path) = script("leaves", body);
    let output = run(&format!("exec:{},later", path.display()), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        of(&events(&stdout(&output)), "exit")[0]["active"],
        "0-2",
        "the background process was not waited for"
    );
    let pid = fs::read_to_string(path.with_file_name("pid")).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    assert!(stat.is_err(), "process {pid} is left running: {stat:?}");
}
