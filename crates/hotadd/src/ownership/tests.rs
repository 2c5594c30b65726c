//! Paths that somebody else could change, one way each.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use hotadd_testing::Need;
use tempfile::TempDir;

use super::*;

/// Somebody who is neither root nor, in all likelihood, us.
const STRANGER: u32 = 3_000_000_001;

/// A folder of ours below /tmp, with a file `at/file`.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        fs::create_dir(stage.path("at")).unwrap();
        fs::write(stage.path("at/file"), "x").unwrap();
        stage.mode("", 0o755).mode("at", 0o755).mode("at/file", 0o644);
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// What root, this user, and somebody to whom all of this is foreign, say of `at/file` or what leads there.
    fn why(&self, believer: u32, name: &str) -> String {
        let believer = Believer(believer);
        let reached = believer.reach(&self.path(name));
        match reached.and_then(|(path, found)| believer.unchanged(&path, &found)) {
            Ok(_) => "fine".to_owned(),
            Err(why) => why.to_string().replace(&self.0.path().display().to_string(), "HERE"),
        }
    }
}

fn ours() -> u32 {
    geteuid().as_raw()
}

/// Whether files can be given away; says so if not.
fn can_give() -> bool {
    Need::Root.is_met("files of other users")
}

#[test]
fn what_is_ours_in_folders_of_ours_below_a_sticky_one_is_believed() {
    let stage = Stage::new();
    assert_eq!(stage.why(ours(), "at/file"), "fine");
    assert_eq!(stage.why(ours(), "at"), "fine");
    assert_eq!(stage.why(ours(), "at/../at/./file"), "fine");
    assert!(file(&stage.path("at")).unwrap_err().to_string().ends_with("is not a regular file"));
    assert!(folder(&stage.path("at/file")).unwrap_err().to_string().ends_with("is not a folder"));
    assert!(file(&stage.path("at/none")).unwrap_err().is_missing());
}

#[test]
fn what_everybody_may_write_to_is_not_wherever_it_is_on_the_way() {
    for (name, mode) in [("at/file", 0o646), ("at", 0o757), ("", 0o777)] {
        let stage = Stage::new();
        stage.mode(name, mode);
        let place = if name.is_empty() { "HERE" } else { &format!("HERE/{name}") };
        for user in [ours(), 0] {
            // To a user all of this may be foreign: then that is said first.
            let why = stage.why(user, "at/file");
            let open = why.starts_with(&format!("every user may write to {place} and"));
            assert!(open || (user != ours() && why.contains("belongs to")), "{name}: {why}");
            assert!(!open || why.ends_with("fix it with `chmod o-w`"), "{why}");
        }
    }
    let stage = Stage::new();
    stage.mode("at", 0o1777);
    assert_eq!(
        stage.why(ours(), "at/file"),
        "fine",
        "there everybody may only replace what is theirs"
    );
    assert!(
        stage.why(ours(), "at").starts_with("every user may write to "),
        "another could be put there"
    );
}

#[test]
fn roots_things_belong_to_root_with_all_folders_on_the_way() {
    if !can_give() {
        return;
    }
    for name in ["at/file", "at", ""] {
        let stage = Stage::new();
        chown(stage.path(name), Some(65534), None).unwrap();
        let place = if name.is_empty() { "HERE".to_owned() } else { format!("HERE/{name}") };
        let why = stage.why(0, "at/file");
        let says =
            "belongs to user 65534, who could change what is run, read or trusted in root's name; ";
        assert_eq!(why, format!("{place} {says}fix it with `chown root {place}`"));
        let to_a_user = stage.why(STRANGER, "at/file");
        assert_eq!(
            to_a_user == "fine",
            name != "at/file",
            "folders of others are passed: {to_a_user}"
        );
    }
}

#[test]
fn a_group_may_write_to_nothing_of_roots_not_even_roots_own() {
    if !can_give() {
        return;
    }
    for group in [0, 65534] {
        for name in ["at/file", "at"] {
            let stage = Stage::new();
            chown(stage.path(name), None, Some(group)).unwrap();
            stage.mode(name, 0o775);
            let why = stage.why(0, "at/file");
            assert!(
                why.starts_with(&format!("group {group} may write to HERE/{name} and")),
                "{why}"
            );
            assert_eq!(stage.why(STRANGER, "at/file"), "fine", "others have groups to themselves");
        }
    }
}

#[test]
fn a_link_is_followed_only_where_its_folder_and_the_way_to_its_target_are_believed() {
    let stage = Stage::new();
    fs::create_dir(stage.path("links")).unwrap();
    stage.mode("links", 0o755);
    symlink("../at/file", stage.path("links/near")).unwrap();
    symlink(stage.path("at"), stage.path("links/far")).unwrap();
    symlink("round", stage.path("links/round")).unwrap();
    for name in ["links/near", "links/far/file"] {
        assert_eq!(stage.why(ours(), name), "fine", "{name}");
        let (real, _) = Believer(ours()).reach(&stage.path(name)).unwrap();
        assert_eq!(real, stage.path("at/file").canonicalize().unwrap());
        stage.mode("links", 0o777);
        assert!(
            stage.why(ours(), name).starts_with("every user may write to HERE/links and"),
            "{name}"
        );
        stage.mode("links", 0o755).mode("at", 0o777);
        assert!(
            stage.why(ours(), name).starts_with("every user may write to HERE/at and"),
            "{name}"
        );
        stage.mode("at", 0o755);
    }
    assert!(stage.why(ours(), "links/round").contains("symbolic links"), "and not for ever");
}

#[test]
fn a_strangers_link_in_a_sticky_folder_is_not_followed() {
    if !can_give() {
        return;
    }
    let stage = Stage::new();
    stage.mode("", 0o1777);
    symlink("at/file", stage.path("link")).unwrap();
    assert_eq!(stage.why(0, "link"), "fine");
    std::os::unix::fs::lchown(stage.path("link"), Some(65534), None).unwrap();
    for user in [0, STRANGER] {
        let why = stage.why(user, "link");
        assert!(why.starts_with("HERE/link belongs to user 65534,"), "{why}");
    }
}

#[test]
fn a_socket_is_believed_in_a_folder_where_nobody_else_can_put_one() {
    let stage = Stage::new();
    let path = stage.path("at/socket");
    let listener = UnixListener::bind(&path).unwrap();
    socket(&path).unwrap();
    let (uid, pid) = peer(&UnixStream::connect(&path).unwrap()).unwrap();
    assert_eq!((uid, pid.unsigned_abs()), (ours(), std::process::id()));
    assert!(is_believed(uid) && is_believed(0) && !is_believed(STRANGER));
    drop(listener);
    let foreign = Believer(STRANGER).socket(&path);
    assert_eq!(foreign.is_ok(), ours() == 0, "only root's is everybody's");
    for mode in [0o720, 0o702, 0o1777] {
        stage.mode("at", mode);
        socket(&path).expect_err("others could put another there");
    }
    stage.mode("at", 0o750);
    socket(&path).unwrap();
    folder_of_sockets(&stage.path("at"), 0o077).expect_err("others can look into it");
    symlink("at", stage.path("link")).unwrap();
    socket(&stage.path("link/socket")).expect_err("it could lead anywhere tomorrow");
    assert!(socket(&stage.path("at/file")).unwrap_err().to_string().ends_with("is not a socket"));
}

#[test]
fn what_is_no_regular_file_or_has_no_end_is_not_waited_for() {
    let stage = Stage::new();
    assert_eq!(read(&stage.path("at/file"), 1).unwrap(), b"x");
    assert_eq!(read(&stage.path("at/file"), 0).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let pipe = stage.path("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [pipe, "/dev/zero".into(), stage.path("at")] {
        let why = read(&path, 10).unwrap_err().to_string();
        assert_eq!(why, "it is not a regular file", "{}", path.display());
    }
}
