//! Peers of other users are admitted or refused by the kernel's credentials, whatever the modes of files are.

mod common;

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use hotadd_service::{Access, PlaceError, Service, ServiceError};
use hotadd_testing::Need;
use hotadd_wire as wire;
use rustix::process::getegid;

use common::Served;

/// The user and the group named nobody.
const NOBODY: u32 = 65534;

/// The group of a machine's partition. It needs no name.
const GROUP: u32 = 61_234;

/// Connects, authenticates as itself and as root, pings, and prints how far it got. This is the most that a
/// stranger can do.
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

/// A command that runs as nobody, with one more group.
fn as_nobody(group: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--groups", &group.to_string(), program]);
    command.current_dir("/");
    command
}

/// What a process of nobody achieves at this socket.
fn stranger(path: &Path) -> String {
    let mut command = as_nobody(NOBODY, "/usr/bin/python3");
    command.arg("-").arg(path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is needed, as ./test installs it");
    child.stdin.take().unwrap().write_all(STRANGER.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a process of nobody, with one more group, can add a processor at this socket.
fn adds(path: &Path, group: u32, id: u32) -> bool {
    let mut call = as_nobody(group, "dbus-send");
    call.arg(format!("--peer=unix:path={}", path.display()));
    call.args(["--print-reply", wire::PARTITION_PATH, "org.hotadd.Partition1.Add"]);
    call.arg(format!("uint32:{id}"));
    call.output().expect("setpriv and dbus-send are there").status.success()
}

/// Whether the test may act as other users. Prints a line if it may not.
fn can_be_others() -> bool {
    Need::Root.is_met("processes of other users")
}

/// Opens the parents of a service's folder, which has its own mode.
fn open_the_way(served: &Served) {
    let folder = served.path.parent().unwrap().parent().unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_peer_of_another_user_is_refused_by_the_files_and_by_its_credentials() {
    if !can_be_others() {
        return;
    }
    let served = Served::new(1, 1);
    let folder = served.path.parent().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    open_the_way(&served);
    assert_eq!(stranger(&served.path), "not let in", "the folder's mode keeps others out");
    open(folder, 0o755);
    assert_eq!(stranger(&served.path), "not let in", "the socket's mode keeps others out too");
    open(&served.path, 0o666);
    assert_eq!(
        stranger(&served.path),
        "hung up on, after 0 bytes",
        "the kernel's credentials keep others out"
    );
    served.logged("of user 65534: refused, because only ");
    // It was never a peer, and other peers are served.
    served.peer().ping();
    assert!(served.log().is_empty());
}

#[test]
fn a_machines_socket_belongs_to_its_group_in_a_folder_that_others_may_list() {
    // The test's own group, so that it needs no root.
    let group = getegid().as_raw();
    let served = Served::for_those(Access::machine(&group.to_string()).unwrap(), 1, 0);
    let socket = fs::metadata(&served.path).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.gid()), (0o660, group));
    let folder = served.path.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o777, 0o755);
    served.peer().ping();

    let other = folder.parent().unwrap().join("open");
    fs::create_dir(&other).unwrap();
    fs::set_permissions(&other, Permissions::from_mode(0o775)).unwrap();
    let refused = served.service().open(&other.join("demo")).unwrap_err();
    assert!(matches!(refused, ServiceError::Place(PlaceError::Folder { .. })), "{refused}");
    assert!(refused.to_string().contains("must have mode 0755 or less "), "{refused}");
}

#[test]
fn a_socket_that_cannot_be_given_to_its_group_is_an_error_and_removed() {
    if !Need::AnotherUser.is_met("a group that its server may not give a socket to") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run").join("demo");
    let hardware = hotadd::hardware::Simulated::new(1, 0).unwrap();
    let partition = hotadd::Partition::simulated(&hardware).unwrap();
    let access = Access::machine(&GROUP.to_string()).unwrap();
    let log = std::sync::Arc::new(|_: &str| ());
    let service = Service::with_access(&partition, "demo", access, log).unwrap();
    let refused = service.open(&path).unwrap_err().to_string();
    assert!(refused.contains("cannot set the group of"), "{refused}");
    assert!(!path.exists());
}

#[test]
fn members_of_its_group_may_change_a_machines_partition_and_others_are_refused() {
    if !can_be_others() {
        return;
    }
    let served = Served::for_those(Access::machine(&GROUP.to_string()).unwrap(), 1, 2);
    let open = |mode| fs::set_permissions(&served.path, Permissions::from_mode(mode)).unwrap();
    open_the_way(&served);
    assert_eq!(stranger(&served.path), "not let in", "the socket's mode keeps others out");
    assert!(adds(&served.path, GROUP, 1), "a supplementary group is enough");
    // The socket is opened to all, so that only the kernel's credentials keep others out.
    open(0o666);
    assert_eq!(stranger(&served.path), "hung up on, after 0 bytes");
    assert!(!adds(&served.path, NOBODY, 2));
    let line = served.said("refused");
    assert!(line.contains(&format!("of user {NOBODY}")), "{line}");
    assert!(line.contains(&format!("root and members of the group {GROUP}")), "{line}");
    assert_eq!(served.partition.count(), 2, "nothing was added for others");
    assert!(adds(&served.path, GROUP, 2), "the kernel's groups admit members");
    assert_eq!(served.partition.count(), 3);
}
