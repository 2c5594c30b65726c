//! Folders of programs, each of which is one party.

use hotadd_service::script::Script;

use crate::fixture::{Fixture, LONG, Rig};

const LOG: &str = "echo \"$(basename $0) $1\" >>$here/log";

#[test]
fn the_programs_of_a_folder_run_by_name_and_all_must_agree() {
    let fixture = Fixture::new();
    for name in ["20-b", "10-a", "Z.sh", "30_c"] {
        fixture.script(&format!("hooks/{name}"), LOG);
    }
    let rig = Rig::new(&fixture.path("hooks"), LONG);
    rig.add(1).unwrap();
    let heard = "10-a add-start\n20-b add-start\n30_c add-start\nZ.sh add-start\n\
                 10-a add-complete\n20-b add-complete\n30_c add-complete\nZ.sh add-complete\n";
    assert_eq!(fixture.read("log"), heard);
}

#[test]
fn a3_when_a_program_refuses_earlier_ones_are_told_in_reverse_order() {
    let fixture = Fixture::new();
    for name in ["a", "b", "d"] {
        fixture.script(&format!("hooks/{name}"), LOG);
    }
    fixture.script("hooks/c", "[ $1 = add-start ] && { echo no, not me >&2; exit 1; }");
    let rig = Rig::new(&fixture.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "c: no, not me");
    assert_eq!(fixture.read("log"), "a add-start\nb add-start\nb add-failure\na add-failure\n");
    assert!(rig.registration.is_registered());
}

#[test]
fn programs_that_are_told_of_a_refusal_get_its_status() {
    let fixture = Fixture::new();
    fixture.script("hooks/a", "echo $1 $HOTADD_STATUS $HOTADD_STATUS_NAME >>$here/log");
    fixture.script("hooks/b", "exit 1");
    let rig = Rig::new(&fixture.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "b: it exited with status 1");
    let heard = "add-start 0x00000000 STATUS_SUCCESS\nadd-failure 0xC0000001 STATUS_UNSUCCESSFUL\n";
    assert_eq!(fixture.read("log"), heard);
}

#[test]
fn l3_a_crashed_program_deregisters_its_folder_and_earlier_programs_are_told() {
    let fixture = Fixture::new();
    fixture.script("hooks/a", LOG);
    fixture.script("hooks/b", "kill -KILL $$");
    let rig = Rig::new(&fixture.path("hooks"), LONG);
    assert_eq!(rig.refusal(1), "b: it was killed by SIGKILL");
    assert_eq!(fixture.read("log"), "a add-start\na add-failure\n");
    assert!(!rig.registration.is_registered());
}

#[test]
fn a6_an_error_in_an_outcome_does_not_keep_later_programs_from_being_told() {
    let fixture = Fixture::new();
    fixture.script("hooks/a", "[ $1 != add-complete ] || exit 1");
    fixture.script("hooks/b", LOG);
    let rig = Rig::new(&fixture.path("hooks"), LONG);
    rig.add(1).unwrap();
    assert_eq!(fixture.read("log"), "b add-start\nb add-complete\n");
    assert_eq!(rig.breaches()[0].0, "A6");
}

#[test]
fn leftover_files_of_editors_and_package_managers_are_not_run() {
    let fixture = Fixture::new();
    fixture.script("hooks/real", "");
    for name in
        [".hidden", "a~", "#a#", "a.bak", "a.swp", "a.dpkg-old", "a.rpmsave", "with space", "ä"]
    {
        fixture.script(&format!("hooks/{name}"), "");
    }
    fixture.script("hooks/plain", "");
    fixture.mode("hooks/plain", 0o644);
    std::fs::create_dir(fixture.path("hooks/folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", fixture.path("hooks/dangling")).unwrap();
    std::os::unix::fs::symlink("real", fixture.path("hooks/link")).unwrap();
    let script = Script::new(&fixture.path("hooks")).unwrap();
    assert_eq!(script.programs().collect::<Vec<_>>(), ["link", "real"]);
}

#[test]
fn each_program_of_a_folder_has_the_whole_time_limit() {
    let fixture = Fixture::new();
    for name in ["a", "b", "c"] {
        fixture.script(&format!("hooks/{name}"), "[ $1 != add-start ] || sleep 1");
    }
    let rig = Rig::new(&fixture.path("hooks"), std::time::Duration::from_millis(2900));
    rig.add(1).expect("together they take longer, and none of them does");
}
