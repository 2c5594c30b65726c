//! The daemon reads and runs only files that no other user can change and that are not pipes. `config check`
//! reports the same in advance.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Output;

use hotadd_testing::Need;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::common::live::ends;
use crate::common::{hotadd, stderr, stdout};
use crate::stage::Stage;

/// The user named nobody.
const NOBODY: u32 = 65534;

fn mode(stage: &Stage, name: &str, mode: u32) {
    fs::set_permissions(stage.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

fn check(stage: &Stage) -> Output {
    ends(hotadd(&["config", "check", &stage.path("hotadd.toml")]))
}

/// Checks that neither accepts this configuration, and that both report the same.
fn neither(stage: &Stage, says: &str) {
    let (checked, begun) = (check(stage), ends(stage.command()));
    assert_eq!(checked.status.code(), Some(1), "{}", stdout(&checked));
    assert_eq!(begun.status.code(), Some(2), "{}", stderr(&begun));
    assert!(
        stderr(&checked).starts_with(says),
        "it does not begin with {says:?}: {}",
        stderr(&checked)
    );
    assert_eq!(stderr(&begun), format!("hotadd: {}", stderr(&checked)), "the daemon says the same");
}

/// Whether the test may give files away. Says so if it may not.
fn can_give(test: &str) -> bool {
    Need::Root.is_met(test)
}

#[test]
fn a_configuration_that_is_a_pipe_is_refused_at_once() {
    let stage = Stage::simulated("");
    let path = stage.path("hotadd.toml");
    fs::remove_file(&path).unwrap();
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    neither(&stage, &format!("{path} is not a regular file"));
}

#[test]
fn a_configuration_longer_than_1_mib_is_refused() {
    let stage = Stage::new(&"#".repeat(1 << 20));
    neither(
        &stage,
        &format!("{} cannot be read: it is longer than 1 MiB", stage.path("hotadd.toml")),
    );
}

#[test]
fn a_configuration_that_others_may_change_is_refused() {
    let stage = Stage::simulated("");
    let (file, folder) = (stage.path("hotadd.toml"), stage.path(""));
    let folder = folder.trim_end_matches('/');
    mode(&stage, "hotadd.toml", 0o646);
    neither(&stage, &format!("every user may write to {file} and could change "));
    mode(&stage, "hotadd.toml", 0o644);
    mode(&stage, "", 0o777);
    neither(&stage, &format!("every user may write to {folder} and could change "));
    mode(&stage, "", 0o755);
    // A link from our folder to a folder that every user may write to.
    fs::create_dir(stage.path("open")).unwrap();
    fs::rename(&file, stage.path("open/real.toml")).unwrap();
    symlink("open/real.toml", &file).unwrap();
    assert_eq!(check(&stage).status.code(), Some(0), "{}", stderr(&check(&stage)));
    mode(&stage, "open", 0o777);
    neither(&stage, &format!("every user may write to {folder}/open and could change "));
}

#[test]
fn root_refuses_a_configuration_of_another_user_or_in_their_folder() {
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
fn l4_a_program_or_drivers_file_that_others_may_change_is_missing_and_the_check_reports_it() {
    for kind in ["exec:", ""] {
        let stage = Stage::simulated("simulate = '2+1'\nat-start = 'leave'\n");
        let file = stage.script("party.so", "exit 0");
        let config = fs::read_to_string(stage.path("hotadd.toml")).unwrap();
        let config = format!("{config}[[party]]\ndriver = '{kind}{file}'\n");
        fs::write(stage.path("hotadd.toml"), config).unwrap();
        let good = check(&stage);
        // A shell script is not a driver's file, which is another defect.
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
