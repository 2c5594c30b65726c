//! Folders of programs: one party.

use hotadd_service::script::Script;

use crate::stage::{LONG, Rig, Stage};

const LOG: &str = "echo \"$(basename $0) $1\" >>$here/log";

#[test]
fn programs_run_in_the_order_of_their_names_and_all_must_agree() {
    let stage = Stage::new();
    for name in ["20-b", "10-a", "Z.sh", "30_c"] {
        stage.script(&format!("hooks/{name}"), LOG);
    }
    let rig = Rig::new(&stage.path("hooks"), LONG);
    rig.add(1).unwrap();
    let heard = "10-a add-start\n20-b add-start\n30_c add-start\nZ.sh add-start\n\
                 10-a add-complete\n20-b add-complete\n30_c add-complete\nZ.sh add-complete\n";
    assert_eq!(stage.read("log"), heard);
}

#[test]
fn a3_when_one_refuses_those_before_it_are_told_last_first() {
    let stage = Stage::new();
    for name in ["a", "b", "d"] {
        stage.script(&format!("hooks/{name}"), LOG);
    }
    stage.script("hooks/c", "[ $1 = add-start ] && { echo no, not me >&2; exit 1; }");
    let rig = Rig::new(&stage.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "c: no, not me");
    assert_eq!(stage.read("log"), "a add-start\nb add-start\nb add-failure\na add-failure\n");
    assert!(rig.registration.is_registered());
}

#[test]
fn those_that_are_told_of_a_refusal_are_told_why() {
    let stage = Stage::new();
    stage.script("hooks/a", "echo $1 $HOTADD_STATUS $HOTADD_STATUS_NAME >>$here/log");
    stage.script("hooks/b", "exit 1");
    let rig = Rig::new(&stage.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "b: it exited with status 1");
    let heard = "add-start 0x00000000 STATUS_SUCCESS\nadd-failure 0xC0000001 STATUS_UNSUCCESSFUL\n";
    assert_eq!(stage.read("log"), heard);
}

#[test]
fn l3_a_crash_in_a_folder_deregisters_it_and_those_before_are_told() {
    let stage = Stage::new();
    stage.script("hooks/a", LOG);
    stage.script("hooks/b", "kill -KILL $$");
    let rig = Rig::new(&stage.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "b: it was killed by SIGKILL");
    assert_eq!(stage.read("log"), "a add-start\na add-failure\n");
    assert!(!rig.registration.is_registered());
}

#[test]
fn an_error_that_changes_nothing_keeps_no_other_from_being_told() {
    let stage = Stage::new();
    stage.script("hooks/a", "[ $1 != add-complete ] || exit 1");
    stage.script("hooks/b", LOG);
    let rig = Rig::new(&stage.path("hooks"), LONG);
    rig.add(1).unwrap();
    assert_eq!(stage.read("log"), "b add-start\nb add-complete\n");
    assert_eq!(rig.breaches()[0].0, "A6");
}

#[test]
fn what_editors_and_package_managers_leave_behind_is_not_run() {
    let stage = Stage::new();
    stage.script("hooks/real", "");
    for name in
        [".hidden", "a~", "#a#", "a.bak", "a.swp", "a.dpkg-old", "a.rpmsave", "with space", "ä"]
    {
        stage.script(&format!("hooks/{name}"), "");
    }
    stage.script("hooks/plain", "");
    stage.mode("hooks/plain", 0o644);
    std::fs::create_dir(stage.path("hooks/folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", stage.path("hooks/dangling")).unwrap();
    std::os::unix::fs::symlink("real", stage.path("hooks/link")).unwrap();
    let script = Script::new(&stage.path("hooks")).unwrap();
    assert_eq!(script.programs().collect::<Vec<_>>(), ["link", "real"]);
}

#[test]
fn each_program_of_a_folder_has_the_whole_time_limit() {
    let stage = Stage::new();
    for name in ["a", "b", "c"] {
        stage.script(&format!("hooks/{name}"), "[ $1 != add-start ] || sleep 1");
    }
    let rig = Rig::new(&stage.path("hooks"), std::time::Duration::from_millis(2900));
    rig.add(1).expect("together they take longer, and none of them does");
}
