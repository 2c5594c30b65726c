//! Many connections of one user do not keep others out. A separate test binary, because it uses most of the
//! available descriptors.

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hotadd_service::Access;
use hotadd_testing::Need;

use common::Served;
use common::counts::raise_descriptors;

/// The group of a machine's partition. It needs no name.
const GROUP: u32 = 61_234;

/// Opens as many connections as requested, prints how many were admitted, and keeps them until its stdin is closed.
const CROWD: &str = r#"
import os, resource, socket, sys
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
there = []
for _ in range(int(sys.argv[2])):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(20)
    peer.connect(sys.argv[1])
    said = b""
    try:
        peer.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        said = peer.recv(100)
        peer.sendall(b"BEGIN\r\n")
    except (BrokenPipeError, ConnectionResetError):
        pass
    if said.startswith(b"OK "):
        there.append(peer)
print(len(there), flush=True)
sys.stdin.read()
"#;

/// A process that keeps its connections, and their number.
struct Crowd {
    process: Child,
    count: usize,
}

impl Crowd {
    /// Runs as this user, who is in the group.
    fn of(uid: u32, path: &Path, tries: usize) -> Self {
        let (uid, group) = (uid.to_string(), GROUP.to_string());
        let mut command = Command::new("setpriv");
        command.args([
            "--reuid",
            &uid,
            "--regid",
            &uid,
            "--groups",
            &group,
            "/usr/bin/python3",
            "-c",
            CROWD,
        ]);
        command.arg(path).arg(tries.to_string()).current_dir("/");
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let count = line.trim().parse().expect("the number of connections");
        Self { process, count }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It ends when its stdin is closed.
        drop(self.process.stdin.take().map(|mut stdin| stdin.flush()));
        let _ = self.process.wait();
    }
}

#[test]
fn one_users_connections_are_limited_and_keep_out_neither_others_nor_root() {
    // The shares are also tested in src/parties/shares.rs, as any user.
    if !Need::Root.is_met("connections of other users") {
        return;
    }
    raise_descriptors(1400);
    let served = Served::for_those(Access::machine(&GROUP.to_string()).unwrap(), 1, 1);
    let folder = served.path.parent().unwrap().parent().unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    let crowd = Crowd::of(65_534, &served.path, 1100);
    assert_eq!(crowd.count, 256, "one user gets exactly its share");
    served.logged(
        "of user 65534: refused, because its user has reached the limit of 256 connections",
    );
    served.peer().ping();
    let others: Vec<_> =
        [61_001, 61_002, 61_003, 61_004].map(|uid| Crowd::of(uid, &served.path, 300)).into();
    let counts: Vec<_> = others.iter().map(|crowd| crowd.count).collect();
    assert_eq!(counts, [256, 256, 256, 0], "other users get their shares while there is room");
    // Some places are reserved for root.
    let root: Vec<_> = (0..64).map(|_| served.peer()).collect();
    root.iter().for_each(common::Peer::ping);
    drop(crowd);
    drop(others);
}
