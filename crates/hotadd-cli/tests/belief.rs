//! Which partitions the command line trusts. A name must lead to a socket of this user or of root, in a
//! folder where nobody else can create files. A path may lead to any user's socket; the command line then
//! says whose it is.

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd_testing::Need;

use common::fake::{Fake, reply};
use common::{hotadd, stderr, stdout};

/// The user and the group named nobody.
const NOBODY: u32 = 65534;

/// Whether the test may act as other users. Says so if it may not.
fn can_be_others(test: &str) -> bool {
    Need::Root.is_met(test)
}

/// A false partition that counts its requests.
fn counting() -> (Fake, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let fake = Fake::new(move |name, call| {
        count.fetch_add(1, Ordering::SeqCst);
        if name == "GetMissing" {
            return reply(call, &Vec::<(String, u64, u32, String)>::new());
        }
        reply(call, &vec![(1_u64, "impostor", 0_i32, true)])
    });
    (fake, asked)
}

fn parties(runtime_dir: &Path, more: &[&str]) -> Output {
    let args = [&["parties"], more].concat();
    hotadd(&args).env("XDG_RUNTIME_DIR", runtime_dir).output().unwrap()
}

/// Checks that nothing is sent to the partition found by name, whether the name is given or not, and that the
/// reason is printed.
fn is_not_trusted(fake: &Fake, asked: &AtomicUsize, says: &str) {
    let socket = fake.runtime_dir().join("hotadd/demo");
    for more in [&[][..], &["-p", "demo"]] {
        let output = parties(fake.runtime_dir(), more);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{more:?}: {}{said}", stdout(&output));
        assert!(said.contains(says), "the message names who could have made the socket: {said}");
        assert!(
            said.contains(&format!("say -p {}", socket.display())),
            "the message says what to do: {said}"
        );
        assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing is sent to it");
    }
}

#[test]
fn a_partition_in_a_folder_that_others_may_write_to_is_not_trusted() {
    for (mode, who) in [(0o777, "every user may write to "), (0o770, "may write to ")] {
        let (fake, asked) = counting();
        let folder = fake.runtime_dir().join("hotadd");
        fs::set_permissions(&folder, Permissions::from_mode(mode)).unwrap();
        is_not_trusted(&fake, &asked, who);
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        let output = parties(fake.runtime_dir(), &[]);
        assert!(
            stdout(&output).contains("impostor"),
            "without the defect it is trusted: {}",
            stderr(&output)
        );
    }
}

#[test]
fn a_partition_of_another_user_is_not_trusted_by_root_either() {
    if !can_be_others("a folder of another user") {
        return;
    }
    for name in ["hotadd", ""] {
        let (fake, asked) = counting();
        let place = fake.runtime_dir().join(name);
        chown(&place, Some(NOBODY), None).unwrap();
        let shown = place.display().to_string();
        let says = format!("{} belongs to user 65534", shown.trim_end_matches('/'));
        is_not_trusted(&fake, &asked, &says);
    }
    let (fake, asked) = counting();
    chown(fake.runtime_dir().join("hotadd/demo"), Some(NOBODY), None).unwrap();
    is_not_trusted(&fake, &asked, "demo belongs to user 65534");
}

/// Listens as nobody at a socket that root has bound, and reports what it receives.
const LISTENS_AS_NOBODY: &str = r"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.setresuid(65534, 65534, 65534)
listener.listen()
print('listens', flush=True)
peer, _ = listener.accept()
peer.settimeout(20)
print('was told', len(peer.recv(4096)), 'bytes', flush=True)
";

/// A process that is killed at the end of the test.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_kernel_is_asked_who_listens_before_anything_is_sent() {
    if !can_be_others("a process of another user that listens") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o700)).unwrap();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", LISTENS_AS_NOBODY]).arg(place.join("demo")).stdout(Stdio::piped());
    let mut python = KillOnDrop(python.spawn().expect("python3 is needed, as ./test installs it"));
    let mut lines = BufReader::new(python.0.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "listens");
    let output = parties(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let says = format!("process {} of user 65534 listens at ", python.0.id());
    assert!(stderr(&output).contains(&says), "{}", stderr(&output));
    assert_eq!(lines.next().unwrap().unwrap(), "was told 0 bytes");
}

#[test]
fn a_partition_given_by_path_may_be_another_users_and_the_user_is_named() {
    if !can_be_others("a partition of another user") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut run = Command::new("setpriv");
    run.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        env!("CARGO_BIN_EXE_hotadd"),
    ]);
    run.args([
        "run",
        "--name",
        "demo",
        "--simulate",
        "1+1",
        "--add",
        "none",
        "--json",
        "--",
        "cat",
    ]);
    run.env("XDG_RUNTIME_DIR", folder.path()).current_dir("/");
    run.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut run = KillOnDrop(run.spawn().expect("setpriv is there"));
    let socket = folder.path().join("hotadd/demo");
    common::live::comes_true("the partition is there", || socket.exists());
    let output = hotadd(&["status", "-p", socket.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("active: 0 "), "{}", stdout(&output));
    let says = format!(
        "hotadd: the partition at {} belongs to process {} of user 65534\n",
        socket.display(),
        run.0.id()
    );
    assert_eq!(stderr(&output), says);
    let by_name = hotadd(&["status"]).env("XDG_RUNTIME_DIR", folder.path()).output().unwrap();
    assert_eq!(by_name.status.code(), Some(3), "it is not trusted by its name");
    drop(run.0.stdin.take());
}
