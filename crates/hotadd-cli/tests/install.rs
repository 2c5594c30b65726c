//! `dist/install`, which packages call: what it installs and where, what it keeps, and what it removes.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{stderr, stdout};
use tempfile::TempDir;

/// A folder to install below.
struct Below(TempDir);

impl Below {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn install(&self, words: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/install");
        let mut command = Command::new("sh");
        command.arg(script).args(words).arg(format!("DESTDIR={}", self.0.path().display()));
        command.arg(concat!("BINARY=", env!("CARGO_BIN_EXE_hotadd")));
        command.env_remove("PREFIX").output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let output = self.install(words);
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        stdout(&output)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// All files, with their paths relative to the folder.
    fn files(&self) -> Vec<String> {
        let mut folders = vec![self.0.path().to_owned()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(self.0.path()).unwrap();
                    files.push(format!("/{}", below.display()));
                }
            }
        }
        files.sort();
        files
    }
}

const LIST: &str = "/usr/share/hotadd/installed";
const CONFIGURATION: &str = "/etc/hotadd/hotadd.toml";

#[test]
fn install_and_remove_handle_every_file_and_keep_the_configuration() {
    let below = Below::new();
    let said = below.done(&[]);
    assert!(said.contains("hotadd doctor"), "the message points to the doctor: {said}");
    let files = below.files();
    for path in [
        "/usr/bin/hotadd",
        "/usr/lib/systemd/system/hotadd.service",
        "/usr/lib/sysusers.d/hotadd.conf",
        "/usr/share/dbus-1/system.d/org.hotadd.Hotadd1.conf",
        "/usr/share/dbus-1/system-services/org.hotadd.Hotadd1.service",
        "/usr/share/dbus-1/interfaces/org.hotadd.Agent1.xml",
        "/usr/share/polkit-1/actions/org.hotadd.policy",
        "/usr/share/man/man1/hotadd-daemon.1",
        "/usr/share/bash-completion/completions/hotadd",
        CONFIGURATION,
    ] {
        assert!(files.iter().any(|file| file == path), "{path}: {files:#?}");
        let mode = fs::metadata(below.path(path)).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, if path == "/usr/bin/hotadd" { 0o755 } else { 0o644 }, "{path}");
    }
    let listed = fs::read_to_string(below.path(LIST)).unwrap();
    let mut listed: Vec<_> = listed.lines().chain([CONFIGURATION, LIST]).collect();
    listed.sort_unstable();
    assert_eq!(listed, files, "the list has all installed files");

    let example = below.path(CONFIGURATION);
    let checked = common::output(&["config", "check", example.to_str().unwrap()]);
    assert!(checked.status.success(), "the example configuration is valid: {}", stderr(&checked));

    below.done(&["--remove"]);
    assert_eq!(below.files(), [CONFIGURATION], "only the administrator's configuration stays");
    let again = below.install(&["--remove"]);
    assert!(!again.status.success(), "there is nothing to remove");
    assert!(stderr(&again).contains("nothing is installed"), "{}", stderr(&again));
}

#[test]
fn install_keeps_the_configuration_and_removes_files_of_an_older_version() {
    let below = Below::new();
    below.done(&[]);
    fs::write(below.path(CONFIGURATION), "# mine\n").unwrap();
    let old = "/usr/share/man/man1/hotadd-old.1";
    fs::write(below.path(old), "a page of a command that was removed").unwrap();
    let kept = below.path("/usr/share/man/man1/hotadd-other.1");
    fs::write(&kept, "a page of somebody else").unwrap();
    let list = fs::read_to_string(below.path(LIST)).unwrap();
    fs::write(below.path(LIST), format!("{list}{old}\n")).unwrap();

    let said = below.done(&[]);
    assert!(said.contains(&format!("{CONFIGURATION} is kept")), "{said}");
    assert_eq!(fs::read_to_string(below.path(CONFIGURATION)).unwrap(), "# mine\n");
    assert!(!below.path(old).exists(), "a file of an older version is removed");
    assert!(kept.exists(), "another file is kept");
    assert_eq!(fs::read_to_string(below.path(LIST)).unwrap(), list);
}

#[test]
fn another_prefix_is_used_in_the_unit_and_the_bus_policy_stays_in_etc() {
    let below = Below::new();
    below.done(&["PREFIX=/usr/local"]);
    let unit = below.path("/usr/local/lib/systemd/system/hotadd.service");
    let unit = fs::read_to_string(unit).unwrap();
    assert!(unit.contains("\nExecStart=/usr/local/bin/hotadd daemon\n"), "{unit}");
    // The bus reads policies from no other prefix.
    assert!(below.path("/etc/dbus-1/system.d/org.hotadd.Hotadd1.conf").exists());
    below.done(&["--remove", "PREFIX=/usr/local"]);
    assert_eq!(below.files(), [CONFIGURATION]);
}

#[test]
fn zshs_completions_are_installed_where_the_distribution_has_them() {
    let below = Below::new();
    below.done(&["ZSH=/usr/share/zsh/vendor-completions"]);
    assert!(below.path("/usr/share/zsh/vendor-completions/_hotadd").exists());
    assert!(!below.path("/usr/share/zsh/site-functions").exists(), "only there");
    below.done(&["--remove"]);
    assert_eq!(below.files(), [CONFIGURATION]);
}

#[test]
fn bad_arguments_and_a_damaged_list_are_refused_without_changes() {
    let below = Below::new();
    for word in ["PREFIX=usr", "PREFIX=/", "PREFIX=/a|b", "PREFIX=/usr/../x", "ZSH=usr", "--force"]
    {
        let refused = below.install(&[word]);
        assert!(!refused.status.success(), "{word}");
        assert!(stderr(&refused).starts_with("dist/install: "), "{word}: {}", stderr(&refused));
        assert!(below.files().is_empty(), "{word}: {:?}", below.files());
    }
    below.done(&[]);
    let before = below.files();
    for path in ["relative", "/usr/../../etc/passwd", "/usr/.."] {
        fs::write(below.path(LIST), format!("/usr/bin/hotadd\n{path}\n")).unwrap();
        let refused = below.install(&["--remove"]);
        assert!(!refused.status.success() && stderr(&refused).contains("damaged"), "{path}");
        assert_eq!(below.files(), before, "{path}: nothing was removed");
    }
}
