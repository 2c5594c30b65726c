//! Attacks of a false partition on the command line. It says nothing, nonsense, or text without end; it sends
//! terminal controls; or its socket is in a place that others can write to.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hotadd_testing::Need;
use tempfile::TempDir;
use zbus::Message;

use crate::common::fake::{Fake, refusal, reply};
use crate::common::{stderr, stdout};
use crate::who::{NOBODY, User};
use crate::{Attempts, EVIL, is_plain, try_all};

/// All requests that the command line makes.
const COMMANDS: [&[&str]; 8] = [
    &["status"],
    &["parties"],
    &["history"],
    &["add", "1"],
    &["add", "1-3"],
    &["remove", "1"],
    &["rehearse", "1"],
    &["parties", "--restart", "pool"],
];

/// Checks that each command ends by itself, fails, and says why. Returns the message of the first.
fn each_fails(who: User, runtime_dir: &Path, more: &[&str], code: i32, says: &str) -> String {
    let mut first = None;
    for args in COMMANDS {
        let output = who.output(&[args, more].concat(), runtime_dir);
        let (out, err) = (stdout(&output), stderr(&output));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
        assert!(err.contains(says), "{args:?} does not say {says:?}: {out}{err}");
        assert!(!err.contains("continues"), "{args:?} claims what it was not told: {err}");
        is_plain(&(out + &err));
        first.get_or_insert(err);
    }
    first.unwrap().lines().last().unwrap_or_default().to_owned()
}

/// A false partition that answers over D-Bus. It counts the requests.
fn answering(
    who: User,
    answers: impl Fn(&str, &Message) -> Option<Message> + Send + Sync + 'static,
) -> (Fake, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let fake = Fake::new(move |name, call| {
        count.fetch_add(1, Ordering::SeqCst);
        answers(name, call)
    });
    who.give(fake.runtime_dir());
    (fake, asked)
}

/// A false partition that does this with each connection. It counts the connections.
fn raw(who: User, does: fn(&UnixStream)) -> (TempDir, Arc<AtomicUsize>) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    let listener = UnixListener::bind(place.join("demo")).unwrap();
    who.give(folder.path());
    let came = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&came);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, count) = (stream.unwrap(), Arc::clone(&count));
            thread::spawn(move || {
                // A client that only probes for a listener sends nothing.
                let mut first = [0];
                if (&stream).read(&mut first).is_ok_and(|length| length == 1) {
                    count.fetch_add(1, Ordering::SeqCst);
                    does(&stream);
                }
            });
        }
    });
    (folder, came)
}

/// Completes the handshake with a client. Returns the serial of its first call, or `None` if it left.
fn greet(stream: &UnixStream) -> Option<u32> {
    let (mut lines, mut to) = (BufReader::new(stream), stream);
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains("AUTH") {
            to.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").ok()?;
        } else if line.contains("NEGOTIATE_UNIX_FD") {
            to.write_all(b"ERROR\r\n").ok()?;
        } else {
            let mut start = [0; 16];
            lines.read_exact(&mut start).ok()?;
            return Some(u32::from_le_bytes(start[8..12].try_into().unwrap()));
        }
    }
}

/// Sends these bytes again and again until the client closes.
fn sends_until_closed(mut stream: &UnixStream, bytes: &[u8]) {
    while stream.write_all(bytes).is_ok() {}
}

fn says_nothing(mut stream: &UnixStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn greets_without_end(stream: &UnixStream) {
    sends_until_closed(stream, &[b'x'; 4096]);
}

fn sends_garbage(stream: &UnixStream) {
    greet(stream);
    sends_until_closed(stream, &[0xff; 64]);
}

fn announces_too_much(mut stream: &UnixStream) {
    greet(stream);
    let _ = stream.write_all(b"l\x02\0\x01\0\0\0\x08\x01\0\0\0\0\0\0\0");
    says_nothing(stream);
}

fn sends_half_a_message(mut stream: &UnixStream) {
    greet(stream);
    let _ = stream.write_all(b"l\x02\0\x01\x10\0");
    says_nothing(stream);
}

fn signals_without_end(stream: &UnixStream) {
    greet(stream);
    let signal = Message::signal("/org/hotadd/Partition", "org.hotadd.Partition1", "Joined");
    sends_until_closed(stream, signal.unwrap().build(&()).unwrap().data());
}

fn hangs_up(stream: &UnixStream) {
    greet(stream);
}

/// What it does with a connection, and the message of each command.
type Raw = (&'static str, fn(&UnixStream), &'static str);

const RAW: [Raw; 7] = [
    ("says nothing", says_nothing, "does not answer within 300ms"),
    ("greets without an end", greets_without_end, ""),
    ("sends garbage without an end", sends_garbage, "does not follow the protocol"),
    ("announces a message of 128 MiB", announces_too_much, "does not follow the protocol"),
    ("sends half a message", sends_half_a_message, "within 300ms"),
    ("sends signals without an end and no answer", signals_without_end, "within 300ms"),
    ("hangs up when it is asked", hangs_up, ""),
];

fn all_of_one_type(who: User) -> String {
    let (fake, asked) = answering(who, |_, call| reply(call, &("yes", 1_u32)));
    let said = each_fails(who, fake.runtime_dir(), &[], 1, "is invalid");
    assert!(asked.load(Ordering::SeqCst) >= COMMANDS.len(), "it was asked");
    said
}

/// Reports more absent processors than a partition can have, one an answer. Its other answers are correct.
fn absences_without_end(who: User) -> String {
    let (fake, asked) = answering(who, |name, call| match name {
        "GetAbsent" => {
            let first: u32 = call.body().deserialize().unwrap();
            reply(call, &vec![(first, "pool", 0xC000_0001_u32, 0_u32, "A3", "no", 1_u64)])
        }
        "GetSet" => reply(call, &((1_u64, 4_u32, vec![(0_u32, 1_u8)], Vec::<(u32, u32)>::new()),)),
        "GetCandidates" => reply(call, &vec![1_u32]),
        "GetMissing" => reply(call, &Vec::<(String, u64, u32, String)>::new()),
        "GetParties" => reply(call, &Vec::<(u64, String, i32, bool)>::new()),
        "GetWaiting" => reply(call, &Vec::<(String, String, u32, u64)>::new()),
        _ => None,
    });
    let output = who.output(&["status"], fake.runtime_dir());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked > 10, "it is asked for more and more: {asked}: {}", stderr(&output));
    // A loaded machine may reach the time limit first.
    let ends = ["its list is out of order or endless", "does not answer within 5s"];
    assert!(ends.iter().any(|end| stderr(&output).contains(end)), "{}", stderr(&output));
    stderr(&output)
}

fn hostile_texts(who: User) -> String {
    let event = serde_json::json!({ "event": "refused", "driver": EVIL, "id": 1, "reason": EVIL });
    let event = event.to_string();
    let (fake, asked) = answering(who, move |name, call| match name {
        "GetParties" => reply(call, &vec![(1_u64, EVIL, 0_i32, true)]),
        "GetMissing" => reply(call, &vec![(EVIL, 1_u64, 0xC000_0001_u32, EVIL)]),
        "GetHistory" => reply(call, &vec![event.as_str()]),
        _ => {
            let body = (EVIL.to_owned(), 0xC000_0001, 0, 1, EVIL.to_owned());
            refusal(call, "org.hotadd.Error.Vetoed", &body)
        }
    });
    let mut said = String::new();
    for args in COMMANDS {
        for more in [&[][..], &["--json"]] {
            let output = who.output(&[args, more].concat(), fake.runtime_dir());
            said = stdout(&output) + &stderr(&output);
            is_plain(&said);
            assert!(said.contains("[2J"), "{args:?} says what is left of it: {said}");
            assert!(!said.contains("\\u"), "{args:?} only wrote it otherwise: {said}");
        }
    }
    assert!(asked.load(Ordering::SeqCst) >= 2 * COMMANDS.len(), "it was asked");
    said
}

/// The command line sends nothing to a socket in a place that others can write to.
fn not_believed(who: User, spoil: impl FnOnce(&Path), says: &str) -> String {
    let (fake, asked) = answering(who, |_, call| reply(call, &("yes", 1_u32)));
    spoil(fake.runtime_dir());
    let said = each_fails(who, fake.runtime_dir(), &[], 3, says);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nothing is sent to it");
    said
}

/// A process of another user that listens at a socket in the right place, and prints how much it receives.
const LISTENS: &str = r"
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
os.chown(sys.argv[1], int(sys.argv[2]), int(sys.argv[2]))
os.setresuid(61001, 61001, 61001)
listener.listen()
print('listens', flush=True)
peer, _ = listener.accept()
peer.settimeout(20)
print('was told', len(peer.recv(4096)), 'bytes', flush=True)
";

fn another_listens(who: User) -> String {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("hotadd");
    fs::DirBuilder::new().mode(0o700).create(&place).unwrap();
    who.give(folder.path());
    if !who.is_root() {
        // Root requires that all folders belong to root. For other users the listener itself must be of another user.
        chown(folder.path(), Some(61_001), None).unwrap();
    }
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", LISTENS]).arg(place.join("demo")).arg(who.0.to_string());
    let mut python = python.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(python.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "listens");
    let output = who.output(&["add", "1"], folder.path());
    let told = lines.next().unwrap().unwrap();
    python.wait().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("of user 61001 listens at "), "{}", stderr(&output));
    assert_eq!(told, "was told 0 bytes");
    stderr(&output)
}

fn all(who: User) -> Attempts {
    let mut attempts = Attempts::by(format!("a partition that user {} asks", who.0));
    for (what, does, says) in RAW {
        attempts.add(what, move || {
            let (folder, came) = raw(who, does);
            let limit = if says.contains("300ms") { &["--timeout", "300ms"][..] } else { &[] };
            let said = each_fails(who, folder.path(), limit, 1, says);
            assert!(came.load(Ordering::SeqCst) >= COMMANDS.len(), "they came to it");
            said
        });
    }
    attempts.add("says nothing, and no time limit is given", move || {
        let (folder, _) = raw(who, says_nothing);
        let output = who.output(&["add", "1"], folder.path());
        let said = stderr(&output);
        assert!(output.status.code() == Some(1) && said.contains("within 5s"), "{said}");
        said
    });
    attempts.add("answers all with another type", move || all_of_one_type(who));
    attempts.add("tells of processors without an end", move || absences_without_end(who));
    attempts.add("says what steers terminals", move || hostile_texts(who));
    for (name, mode) in [("hotadd", 0o777), ("hotadd", 0o770), ("", 0o777)] {
        let says = if mode == 0o777 { "every user may write to " } else { "may write to " };
        attempts.add(format!("is in a folder with mode {mode:o} ({name:?})"), move || {
            let open =
                |path: &Path| fs::set_permissions(path.join(name), Permissions::from_mode(mode));
            not_believed(who, move |path| open(path).unwrap(), says)
        });
    }
    if !Need::Root.is_met("a partition of another user") {
        return attempts;
    }
    let other = if who.is_root() { NOBODY } else { 61_001 };
    let names = ["hotadd/demo", "hotadd", ""];
    // Only root requires that every folder of the path belongs to root.
    for name in names.into_iter().filter(|name| who.is_root() || !name.is_empty()) {
        attempts.add(format!("belongs to another user ({name:?})"), move || {
            let give = move |path: &Path| {
                let given = path.join(name);
                chown(&given, Some(other), None).unwrap();
                // So that every user can list it.
                fs::set_permissions(given, Permissions::from_mode(0o755)).unwrap();
            };
            not_believed(who, give, &format!("belongs to user {other}"))
        });
    }
    attempts.add("is another user's, at a socket in its place", move || another_listens(who));
    attempts
}

#[test]
fn a_false_partition_does_not_deceive_the_command_line() {
    try_all(User::all().into_iter().map(all));
}
