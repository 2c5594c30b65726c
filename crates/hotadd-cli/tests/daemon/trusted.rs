//! What the daemon reads and runs can be changed by nobody else, and is no pipe; `config check` says the same before it begins.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Output;

use hotadd_testing::Need;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::common::live::ends;
use crate::common::{hotadd, stderr, stdout};
use crate::stage::Stage;

/// Nobody.
const NOBODY: u32 = 65534;

fn mode(stage: &Stage, name: &str, mode: u32) {
    fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn check(stage: &Stage) -> Output {
    ends(hotadd(&["config", "check", &stage.path("hotadd.toml")]))
}

/// That neither begins with this configuration, and what both say.
fn neither(stage: &Stage, says: &str) {
    let (checked, begun) = (check(stage), ends(stage.command()));
    assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
    assert_eq!(begun.status.code(), Some(2), "{}", stderr(&begun));
    assert!(
        stderr(&checked).starts_with(says),
        "{says:?} is not what it says: {}",
        stderr(&checked)
    );
    assert_eq!(stderr(&begun), format!("hotadd: {}", stderr(&checked)), "the daemon says the same");
}

/// Whether files can be given away; says so if not.
fn can_give(test: &str) -> bool {
    Need::Root.is_met(test)
}

#[test]
fn a_configuration_that_is_a_pipe_is_not_waited_for() {
    let stage = Stage::simulated("");
    let path = stage.path("hotadd.toml");
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    neither(&stage, &format!("{path} is not a regular file"));
}

#[test]
fn a_configuration_that_has_no_end_within_reason_is_not_read() {
    let stage = Stage::new(&"#".repeat(1 << 20));
    neither(
        &stage,
        &format!("{} cannot be read: it is longer than 1 MiB", stage.path("hotadd.toml")),
    );
}

#[test]
fn a_configuration_that_others_may_change_is_not_read() {
    let stage = Stage::simulated("");
    let (file, folder) = (stage.path("hotadd.toml"), stage.path(""));
    let folder = folder.trim_end_matches('/');
    mode(&stage, "hotadd.toml", 0o646);
    neither(&stage, &format!("every user may write to {file} and could change "));
    mode(&stage, "hotadd.toml", 0o644);
    mode(&stage, "", 0o777);
    neither(&stage, &format!("every user may write to {folder} and could change "));
    mode(&stage, "", 0o755);
    // A link from a place of ours to one of everybody's.
    fs::create_dir(stage.path("open")).unwrap();
    fs::rename(&file, stage.path("open/real.toml")).unwrap();
    symlink("open/real.toml", &file).unwrap();
    assert_eq!(check(&stage).status.code(), Some(0), "{}", stderr(&check(&stage)));
    mode(&stage, "open", 0o777);
    neither(&stage, &format!("every user may write to {folder}/open and could change "));
}

#[test]
fn a_configuration_of_another_user_or_in_a_folder_of_theirs_root_does_not_read() {
    if !can_give("a configuration of another user") {
        return;
    }
    for name in ["hotadd.toml", ""] {
        let stage = Stage::simulated("");
        chown(stage.path(name), Some(NOBODY), None).unwrap();
        let path = stage.path(name);
        let path = path.trim_end_matches('/');
        neither(&stage, &format!("{path} belongs to user 65534, who could change "));
        chown(stage.path(name), Some(0), Some(NOBODY)).unwrap();
        mode(&stage, name, 0o775);
        neither(&stage, &format!("group 65534 may write to {path} and could change "));
    }
}

#[test]
fn l4_a_program_or_a_drivers_file_that_others_may_change_is_missing_and_the_check_says_so() {
    for kind in ["exec:", ""] {
        let stage = Stage::simulated("simulate = '2+1'\nat-start = 'leave'\n");
        let file = stage.script("party.so", "exit 0");
        let config = fs::read_to_string(stage.path("hotadd.toml")).unwrap();
        let config = format!("{config}[[party]]\ndriver = '{kind}{file}'\n");
        fs::write(stage.path("hotadd.toml"), config).unwrap();
        let good = check(&stage);
        // As a driver's file it has another fault, and not this one.
        let usual =
            if kind.is_empty() { (Some(1), "not a driver: a script\n") } else { (Some(0), "") };
        assert_eq!(good.status.code(), usual.0, "{}", stderr(&good));
        assert!(stderr(&good).ends_with(usual.1), "{}", stderr(&good));
        mode(&stage, "party.so", 0o757);
        let why = format!("every user may write to {file} and could change ");
        let checked = check(&stage);
        assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
        let says = format!("{}: party[0].driver: {why}", stage.path("hotadd.toml"));
        assert!(stderr(&checked).starts_with(&says), "{}", stderr(&checked));

        let mut daemon = stage.start();
        let degraded = daemon.until("degraded: party.so is missing");
        assert!(degraded.contains(&why), "the daemon says the same: {degraded}");
        daemon.until("simulated processors");
        let add = daemon.ask(&["add", "2"]);
        assert_eq!(add.status.code(), Some(1), "nothing joins without it: {}", stdout(&add));
        daemon.end(rustix::process::Signal::TERM);
    }
}
