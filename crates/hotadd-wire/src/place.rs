//! The location of partitions: the folder of their sockets, their names in it, and who may connect.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

/// The folder of this user's partitions: `$XDG_RUNTIME_DIR/hotadd`; without that variable
/// `/run/user/UID/hotadd`, if there is a `/run/user/UID`; else `/tmp/hotadd-UID`.
#[must_use]
pub fn runtime_dir() -> PathBuf {
    let uid = geteuid().as_raw();
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = || Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|path| path.is_dir());
    match given.filter(|path| path.is_absolute()).or_else(usual) {
        Some(path) => path.join("hotadd"),
        None => PathBuf::from(format!("/tmp/hotadd-{uid}")),
    }
}

/// Whether a partition may have this name: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first no dot.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fit)
}

/// The explanation for a user who may not connect to a partition's socket: which users may.
#[must_use]
pub fn denied(path: &Path) -> String {
    match std::fs::metadata(path) {
        // The socket of a machine's partition is open to a group.
        Ok(found) if found.mode() & 0o020 != 0 => {
            let group = found.gid();
            format!(
                "access is denied. Root and the members of group {group} (`getent group {group}`) have \
                 access; a new member must log in again"
            )
        }
        _ => "access is denied. Run the program as the user that started the partition".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partitions_name_has_1_to_64_plain_characters() {
        for name in ["a", "A-z_0.9", &"x".repeat(64)] {
            assert!(is_name(name), "{name:?}");
        }
        for name in ["", ".a", "..", "a/b", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(!is_name(name), "{name:?}");
        }
    }

    #[test]
    fn a_denied_connection_names_who_may_connect() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            denied(&path)
        };
        assert!(mode(0o600).contains("as the user that started"));
        let group = std::fs::metadata(&path).unwrap().gid();
        assert!(mode(0o660).contains(&format!("Root and the members of group {group} ")));
    }
}
