//! Paths that another user could change, in each possible way.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};

use hotadd_testing::Need;
use tempfile::TempDir;

use super::*;

/// A user that is neither root nor, in all likelihood, the user of this process.
const STRANGER: u32 = 3_000_000_001;

/// A folder of ours below /tmp, with a file `at/file`.
struct Fixture(TempDir);

impl Fixture {
    fn new() -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        fs::create_dir(fixture.path("at")).unwrap();
        fs::write(fixture.path("at/file"), "x").unwrap();
        fixture.mode("", 0o755).mode("at", 0o755).mode("at/file", 0o644);
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn mode(&self, name: &str, mode: u32) -> &Self {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
        self
    }

    /// The verdict of a user about `at/file` or about a folder on the way to it.
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

/// Whether the test may give files away. Prints a line if it may not.
fn can_give() -> bool {
    Need::Root.is_met("files of other users")
}

#[test]
fn our_file_in_our_folders_below_a_sticky_folder_is_trusted() {
    let fixture = Fixture::new();
    assert_eq!(fixture.why(ours(), "at/file"), "fine");
    assert_eq!(fixture.why(ours(), "at"), "fine");
    assert_eq!(fixture.why(ours(), "at/../at/./file"), "fine");
    assert!(file(&fixture.path("at")).unwrap_err().to_string().ends_with("is not a regular file"));
    assert!(folder(&fixture.path("at/file")).unwrap_err().to_string().ends_with("is not a folder"));
    assert!(file(&fixture.path("at/none")).unwrap_err().is_missing());
}

#[test]
fn a_path_with_a_part_that_every_user_may_write_to_is_not_trusted() {
    for (name, mode) in [("at/file", 0o646), ("at", 0o757), ("", 0o777)] {
        let fixture = Fixture::new();
        fixture.mode(name, mode);
        let place = if name.is_empty() { "HERE" } else { &format!("HERE/{name}") };
        for user in [ours(), 0] {
            // The user may own none of this, and that is then reported first.
            let why = fixture.why(user, "at/file");
            let open = why.starts_with(&format!("every user may write to {place} and"));
            assert!(open || (user != ours() && why.contains("belongs to")), "{name}: {why}");
            assert!(!open || why.ends_with("fix it with `chmod o-w`"), "{why}");
        }
    }
    let fixture = Fixture::new();
    fixture.mode("at", 0o1777);
    assert_eq!(
        fixture.why(ours(), "at/file"),
        "fine",
        "in a sticky folder users may replace only their own files"
    );
    assert!(
        fixture.why(ours(), "at").starts_with("every user may write to "),
        "another file could be created"
    );
}

#[test]
fn root_trusts_only_paths_of_which_every_part_belongs_to_root() {
    if !can_give() {
        return;
    }
    for name in ["at/file", "at", ""] {
        let fixture = Fixture::new();
        chown(fixture.path(name), Some(65534), None).unwrap();
        let place = if name.is_empty() { "HERE".to_owned() } else { format!("HERE/{name}") };
        let why = fixture.why(0, "at/file");
        let says =
            "belongs to user 65534, who could change what is run, read or trusted in root's name; ";
        assert_eq!(why, format!("{place} {says}fix it with `chown root {place}`"));
        let to_a_user = fixture.why(STRANGER, "at/file");
        assert_eq!(
            to_a_user == "fine",
            name != "at/file",
            "folders of other users are accepted: {to_a_user}"
        );
    }
}

#[test]
fn root_trusts_no_path_with_a_part_that_a_group_may_write_to() {
    if !can_give() {
        return;
    }
    for group in [0, 65534] {
        for name in ["at/file", "at"] {
            let fixture = Fixture::new();
            chown(fixture.path(name), None, Some(group)).unwrap();
            fixture.mode(name, 0o775);
            let why = fixture.why(0, "at/file");
            assert!(
                why.starts_with(&format!("group {group} may write to HERE/{name} and")),
                "{why}"
            );
            assert_eq!(
                fixture.why(STRANGER, "at/file"),
                "fine",
                "others have groups to themselves"
            );
        }
    }
}

#[test]
fn a_link_is_trusted_only_if_its_folder_and_its_target_are() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("links")).unwrap();
    fixture.mode("links", 0o755);
    symlink("../at/file", fixture.path("links/near")).unwrap();
    symlink(fixture.path("at"), fixture.path("links/far")).unwrap();
    symlink("round", fixture.path("links/round")).unwrap();
    for name in ["links/near", "links/far/file"] {
        assert_eq!(fixture.why(ours(), name), "fine", "{name}");
        let (real, _) = Believer(ours()).reach(&fixture.path(name)).unwrap();
        assert_eq!(real, fixture.path("at/file").canonicalize().unwrap());
        fixture.mode("links", 0o777);
        assert!(
            fixture.why(ours(), name).starts_with("every user may write to HERE/links and"),
            "{name}"
        );
        fixture.mode("links", 0o755).mode("at", 0o777);
        assert!(
            fixture.why(ours(), name).starts_with("every user may write to HERE/at and"),
            "{name}"
        );
        fixture.mode("at", 0o755);
    }
    assert!(fixture.why(ours(), "links/round").contains("symbolic links"), "and not for ever");
}

#[test]
fn another_users_link_in_a_sticky_folder_is_not_followed() {
    if !can_give() {
        return;
    }
    let fixture = Fixture::new();
    fixture.mode("", 0o1777);
    symlink("at/file", fixture.path("link")).unwrap();
    assert_eq!(fixture.why(0, "link"), "fine");
    std::os::unix::fs::lchown(fixture.path("link"), Some(65534), None).unwrap();
    for user in [0, STRANGER] {
        let why = fixture.why(user, "link");
        assert!(why.starts_with("HERE/link belongs to user 65534,"), "{why}");
    }
}

#[test]
fn a_socket_is_trusted_in_a_folder_where_no_other_user_can_create_one() {
    let fixture = Fixture::new();
    let path = fixture.path("at/socket");
    let listener = UnixListener::bind(&path).unwrap();
    socket(&path).unwrap();
    let (uid, pid) = peer(&UnixStream::connect(&path).unwrap()).unwrap();
    assert_eq!((uid, pid.unsigned_abs()), (ours(), std::process::id()));
    assert!(is_believed(uid) && is_believed(0) && !is_believed(STRANGER));
    drop(listener);
    let foreign = Believer(STRANGER).socket(&path);
    assert_eq!(foreign.is_ok(), ours() == 0, "every user trusts only root's");
    for mode in [0o720, 0o702, 0o1777] {
        fixture.mode("at", mode);
        socket(&path).expect_err("others could put another there");
    }
    fixture.mode("at", 0o750);
    socket(&path).unwrap();
    folder_of_sockets(&fixture.path("at"), 0o077).expect_err("others can look into it");
    symlink("at", fixture.path("link")).unwrap();
    socket(&fixture.path("link/socket")).expect_err("it could lead anywhere tomorrow");
    assert!(socket(&fixture.path("at/file")).unwrap_err().to_string().ends_with("is not a socket"));
}

#[test]
fn special_files_and_endless_files_are_refused_at_once() {
    let fixture = Fixture::new();
    assert_eq!(read(&fixture.path("at/file"), 1).unwrap(), b"x");
    assert_eq!(read(&fixture.path("at/file"), 0).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    let pipe = fixture.path("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    for path in [pipe, "/dev/zero".into(), fixture.path("at")] {
        let why = read(&path, 10).unwrap_err().to_string();
        assert_eq!(why, "it is not a regular file", "{}", path.display());
    }
}
