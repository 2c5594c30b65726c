//! What is not run, and why, in a sentence.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
use hotadd_service::script::Script;
use hotadd_testing::Need;
use rustix::io::Errno;

use crate::stage::{LONG, Rig, Stage};

fn why(path: &Path) -> String {
    let shown = path.display().to_string();
    Script::new(path).unwrap_err().to_string().replace(&shown, "PATH")
}

/// Whose name is misused by what others could change.
fn whose() -> &'static str {
    if rustix::process::geteuid().is_root() { "root's name" } else { "your name" }
}

fn exposed() -> String {
    format!(
        "every user may write to PATH and could change what is run, read or trusted in {}; fix it with \
         `chmod o-w`",
        whose()
    )
}

#[test]
fn what_cannot_be_run_is_said_at_once() {
    let stage = Stage::new();
    assert_eq!(why(&stage.path("missing")), "PATH does not exist");
    let plain = stage.script("plain", "");
    stage.mode("plain", 0o644);
    assert_eq!(why(&plain), "PATH is not executable; `chmod +x` makes it so");
    assert_eq!(why(Path::new("/dev/null")), "PATH is neither a program nor a folder of programs");
    fs::create_dir(stage.path("empty")).unwrap();
    assert!(why(&stage.path("empty")).starts_with("there is no program in PATH: "));
}

#[test]
fn what_everybody_may_write_to_is_not_run() {
    let stage = Stage::new();
    let exposed = exposed();
    let program = stage.script("program", "");
    stage.mode("program", 0o757);
    assert_eq!(why(&program), exposed);

    stage.script("hooks/a", "");
    for mode in [0o777, 0o1777] {
        stage.mode("hooks", mode);
        assert_eq!(why(&stage.path("hooks")), exposed, "{mode:o}");
    }
    stage.mode("hooks", 0o755);
    stage.mode("hooks/a", 0o757);
    assert!(why(&stage.path("hooks")).contains("PATH/a and"));
}

#[test]
fn neither_is_what_everybody_may_replace() {
    let stage = Stage::new();
    let program = stage.script("deep/er/program", "");
    std::os::unix::fs::symlink(&program, stage.path("link")).unwrap();
    stage.mode("deep", 0o777);
    let shown = stage.path("deep").display().to_string();
    for path in [program, stage.path("link")] {
        assert!(why(&path).contains(&format!("{shown} and")), "{}", why(&path));
    }
    // As /tmp is: there everybody may only replace what is theirs.
    stage.mode("deep", 0o1777);
    Script::new(&stage.path("link")).unwrap();
}

/// Whether this is root, who can give a file to a group that is not its own; says so if not.
fn is_root() -> bool {
    Need::Root.is_met("what root does not run")
}

#[test]
fn what_any_group_may_write_to_root_does_not_run() {
    if !is_root() {
        return;
    }
    const NOGROUP: u32 = 65534;
    let stage = Stage::new();
    let program = stage.script("hooks/program", "");
    let give = |name: &str, group| chown(stage.path(name), None, Some(group)).unwrap();
    let exposed = |group| format!("group {group} may write to PATH and could change what is run, ");
    give("hooks/program", NOGROUP);
    Script::new(&program).expect("a group that may only run it");
    stage.mode("hooks/program", 0o775);
    for group in [NOGROUP, 0] {
        give("hooks/program", group);
        assert!(why(&program).starts_with(&exposed(group)), "{}", why(&program));
    }
    stage.mode("hooks/program", 0o755);
    // The folder, as a folder of programs and as that of one program.
    give("hooks", NOGROUP);
    stage.mode("hooks", 0o775);
    assert!(why(&stage.path("hooks")).starts_with(&exposed(NOGROUP)));
    assert!(why(&program).starts_with("group 65534 may write to "), "it could be replaced");
    stage.mode("hooks", 0o1775);
    assert!(
        why(&stage.path("hooks")).starts_with(&exposed(NOGROUP)),
        "another could be put beside it"
    );
    Script::new(&program).expect("it cannot be replaced by those who do not own it");
}

#[test]
fn what_is_of_another_user_root_does_not_run_nor_what_is_in_a_folder_of_theirs() {
    if !is_root() {
        return;
    }
    for name in ["hooks/program", "hooks", ""] {
        let stage = Stage::new();
        let program = stage.script("hooks/program", "");
        Script::new(&program).unwrap();
        chown(stage.path(name), Some(65534), None).unwrap();
        let owner = format!("{} belongs to user 65534, who could ", stage.path(name).display());
        for path in [&program, &stage.path("hooks")] {
            let why = Script::new(path).unwrap_err().to_string();
            assert!(why.replace("/ ", " ").starts_with(&owner.replace("/ ", " ")), "{name}: {why}");
            assert!(why.contains("`chown root "), "what to do: {why}");
        }
    }
}

#[test]
fn what_ones_own_group_may_write_to_others_than_root_run() {
    let stage = Stage::new();
    let program = stage.script("program", "");
    stage.mode("program", 0o775);
    let root = rustix::process::geteuid().is_root();
    assert_eq!(Script::new(&program).is_ok(), !root, "its group is that of the user who made it");
}

#[test]
fn what_has_changed_since_is_found_out_before_it_runs() {
    let stage = Stage::new();
    let path = stage.script("hook", "");
    let rig = Rig::new(&path, LONG);
    rig.add(1).unwrap();
    stage.mode("hook", 0o777);
    assert!(rig.refusal(2).starts_with("every user may write to "));
    fs::remove_file(&path).unwrap();
    assert!(rig.refusal(2).ends_with("hook does not exist"));
    assert!(rig.registration.is_registered(), "it can be put right");
    stage.script("hook", "");
    rig.add(2).unwrap();
}

#[test]
fn no_shell_steps_in_for_a_missing_first_line() {
    let stage = Stage::new();
    let rig = Rig::new(&stage.executable("hook", "touch $here/ran\n"), LONG);
    let reason = rig.refusal(1);
    assert!(reason.starts_with("it cannot be run: Exec format error"), "{reason}");
    assert!(reason.ends_with("; check that it begins with a line such as #!/bin/sh"), "{reason}");
    assert!(!stage.path("ran").exists());
}

#[test]
fn what_this_machine_has_no_room_for_refuses_and_is_not_blamed_on_the_program() {
    let stage = Stage::new();
    let path = stage.script("hook", "");
    let cases = [
        (Errno::AGAIN, "TasksMax="),
        (Errno::MFILE, "LimitNOFILE="),
        (Errno::NFILE, "fs.file-max"),
        (Errno::NOMEM, "there is not enough memory"),
    ];
    for (errno, look_at) in cases {
        let full = move |_: &mut Command| Err(errno.into());
        let script = Script::new(&path).unwrap().started_by(Arc::new(full));
        let partition = Partition::simulated(&Simulated::new(1, 1).unwrap()).unwrap();
        let party = partition.registration("script").without_replay().register(script).unwrap();
        let said = partition.add(HardwareId(1)).unwrap_err().to_string();
        assert!(said.contains("no more processes can be started on this machine"), "{said}");
        assert!(said.contains(look_at) && !said.contains("cannot be run"), "{said}");
        assert!(party.is_registered(), "it has done nothing wrong: {said}");
    }
}
