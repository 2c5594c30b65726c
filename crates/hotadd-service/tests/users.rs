//! Peers of other users: refused by who the kernel says they are, whatever the modes of files say.

mod common;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::Served;

/// Nobody's user and group.
const NOBODY: u32 = 65534;

/// Connects, authenticates itself as who it is and as root, pings, and says how far it got: what a stranger can do at most.
const STRANGER: &str = r#"
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(20)
try:
    peer.connect(sys.argv[1])
except PermissionError:
    print("not let in", end="")
    sys.exit()
said = b""
try:
    for uid in str(os.getuid()), "0":
        peer.sendall(b"\0AUTH EXTERNAL " + uid.encode().hex().encode() + b"\r\nBEGIN\r\n")
    while chunk := peer.recv(4096):
        said += chunk
except (BrokenPipeError, ConnectionResetError):
    pass
print("hung up on, after", len(said), "bytes", end="")
"#;

/// What a process of nobody's comes to at this socket.
fn stranger(path: &Path) -> String {
    let mut command = Command::new("/usr/bin/python3");
    command.arg("-").arg(path).current_dir("/").uid(NOBODY).gid(NOBODY);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is needed, as ./test installs it");
    child.stdin.take().unwrap().write_all(STRANGER.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_peer_of_another_user_is_refused_by_the_files_and_by_its_credentials() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can start a process of another user");
        return;
    }
    let served = Served::new(1, 1);
    // Somebody opens the way to the folder, which has a mode of its own.
    let folder = served.path.parent().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open(folder.parent().unwrap(), 0o755);
    assert_eq!(stranger(&served.path), "not let in", "the folder's mode keeps others out");
    open(folder, 0o755);
    assert_eq!(stranger(&served.path), "not let in", "and so does the socket's");
    open(&served.path, 0o666);
    assert_eq!(stranger(&served.path), "hung up on, after 0 bytes", "the kernel says who it is");
    served.logged("refused, because it is of user 65534");
    // It was no peer for a moment, and others are none the worse for it.
    served.peer().ping();
    assert!(served.log().is_empty());
}
