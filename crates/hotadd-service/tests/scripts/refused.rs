//! Programs that are not run, and the message that says why.

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

use crate::fixture::{Fixture, LONG, Rig};

fn why(path: &Path) -> String {
    let shown = path.display().to_string();
    Script::new(path).unwrap_err().to_string().replace(&shown, "PATH")
}

/// Describes whose rights others could misuse by changing the program.
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
fn a_path_that_cannot_be_run_is_refused_at_registration() {
    let fixture = Fixture::new();
    assert_eq!(why(&fixture.path("missing")), "PATH does not exist");
    let plain = fixture.script("plain", "");
    fixture.mode("plain", 0o644);
    assert_eq!(why(&plain), "PATH is not executable; `chmod +x` makes it so");
    assert_eq!(why(Path::new("/dev/null")), "PATH is neither a program nor a folder of programs");
    fs::create_dir(fixture.path("empty")).unwrap();
    assert!(why(&fixture.path("empty")).starts_with("there is no program in PATH: "));
}

#[test]
fn a_program_that_every_user_may_write_to_is_not_run() {
    let fixture = Fixture::new();
    let exposed = exposed();
    let program = fixture.script("program", "");
    fixture.mode("program", 0o757);
    assert_eq!(why(&program), exposed);

    fixture.script("hooks/a", "");
    for mode in [0o777, 0o1777] {
        fixture.mode("hooks", mode);
        assert_eq!(why(&fixture.path("hooks")), exposed, "{mode:o}");
    }
    fixture.mode("hooks", 0o755);
    fixture.mode("hooks/a", 0o757);
    assert!(why(&fixture.path("hooks")).contains("PATH/a and"));
}

#[test]
fn a_program_that_every_user_may_replace_is_not_run() {
    let fixture = Fixture::new();
    let program = fixture.script("deep/er/program", "");
    std::os::unix::fs::symlink(&program, fixture.path("link")).unwrap();
    fixture.mode("deep", 0o777);
    let shown = fixture.path("deep").display().to_string();
    for path in [program, fixture.path("link")] {
        assert!(why(&path).contains(&format!("{shown} and")), "{}", why(&path));
    }
    // Like /tmp: in a sticky folder users can replace only their own files.
    fixture.mode("deep", 0o1777);
    Script::new(&fixture.path("link")).unwrap();
}

/// Whether this is root, who can give a file to another group. Prints a line if it is not.
fn is_root() -> bool {
    Need::Root.is_met("what root does not run")
}

#[test]
fn root_does_not_run_a_program_that_a_group_may_write_to() {
    if !is_root() {
        return;
    }
    const NOGROUP: u32 = 65534;
    let fixture = Fixture::new();
    let program = fixture.script("hooks/program", "");
    let give = |name: &str, group| chown(fixture.path(name), None, Some(group)).unwrap();
    let exposed = |group| format!("group {group} may write to PATH and could change what is run, ");
    give("hooks/program", NOGROUP);
    Script::new(&program).expect("the group may only run it");
    fixture.mode("hooks/program", 0o775);
    for group in [NOGROUP, 0] {
        give("hooks/program", group);
        assert!(why(&program).starts_with(&exposed(group)), "{}", why(&program));
    }
    fixture.mode("hooks/program", 0o755);
    // The folder, once as a folder of programs and once as the folder of one program.
    give("hooks", NOGROUP);
    fixture.mode("hooks", 0o775);
    assert!(why(&fixture.path("hooks")).starts_with(&exposed(NOGROUP)));
    assert!(why(&program).starts_with("group 65534 may write to "), "it could be replaced");
    fixture.mode("hooks", 0o1775);
    assert!(
        why(&fixture.path("hooks")).starts_with(&exposed(NOGROUP)),
        "another program could be added"
    );
    Script::new(&program).expect("in a sticky folder only the owner can replace it");
}

#[test]
fn root_does_not_run_a_program_of_another_user_or_in_their_folder() {
    if !is_root() {
        return;
    }
    for name in ["hooks/program", "hooks", ""] {
        let fixture = Fixture::new();
        let program = fixture.script("hooks/program", "");
        Script::new(&program).unwrap();
        chown(fixture.path(name), Some(65534), None).unwrap();
        let owner = format!("{} belongs to user 65534, who could ", fixture.path(name).display());
        for path in [&program, &fixture.path("hooks")] {
            let why = Script::new(path).unwrap_err().to_string();
            assert!(why.replace("/ ", " ").starts_with(&owner.replace("/ ", " ")), "{name}: {why}");
            assert!(why.contains("`chown root "), "the message says what to do: {why}");
        }
    }
}

#[test]
fn users_other_than_root_run_a_program_that_their_own_group_may_write_to() {
    let fixture = Fixture::new();
    let program = fixture.script("program", "");
    fixture.mode("program", 0o775);
    let root = rustix::process::geteuid().is_root();
    assert_eq!(Script::new(&program).is_ok(), !root, "its group is that of the user who made it");
}

#[test]
fn a_program_is_checked_again_before_each_run() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "");
    let rig = Rig::new(&path, LONG);
    rig.add(1).unwrap();
    fixture.mode("hook", 0o777);
    assert!(rig.refusal(2).starts_with("every user may write to "));
    fs::remove_file(&path).unwrap();
    assert!(rig.refusal(2).ends_with("hook does not exist"));
    assert!(
        rig.registration.is_registered(),
        "the party stays registered, because the file can be repaired"
    );
    fixture.script("hook", "");
    rig.add(2).unwrap();
}

#[test]
fn a_script_without_a_first_line_is_not_run_by_a_shell() {
    let fixture = Fixture::new();
    let rig = Rig::new(&fixture.executable("hook", "touch $here/ran\n"), LONG);
    let reason = rig.refusal(1);
    assert!(reason.starts_with("it cannot be run: Exec format error"), "{reason}");
    assert!(reason.ends_with("; check that it begins with a line such as #!/bin/sh"), "{reason}");
    assert!(!fixture.path("ran").exists());
}

#[test]
fn lack_of_resources_is_a_veto_that_does_not_blame_the_program() {
    let fixture = Fixture::new();
    let path = fixture.script("hook", "");
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
        assert!(party.is_registered(), "the party is not to blame and stays registered: {said}");
    }
}
