//! Attacks of a hostile peer at the socket of a daemon. It sends anything or nothing, lies about its user and
//! about agreements, and connects a thousand times. Other clients are not affected.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use hotadd_testing::{Need, skip};
use hotadd_wire as wire;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use zbus::zvariant::ObjectPath;

use crate::common::live::{LONG, comes_true, ends};
use crate::common::{hotadd, stderr, stdout};
use crate::stage::Daemon;
use crate::who::{NOBODY, User};
use crate::wire::{Peer, begins, call, closed};
use crate::{Attempts, EVIL, is_clean, is_plain, try_all};

/// What a peer does to a daemon. Returns how it ended, unless the daemon's log shows that.
pub(crate) type Does = fn(&mut Scene) -> String;

/// A daemon and its attacker.
pub(crate) struct Scene {
    pub(crate) daemon: Daemon,
    pub(crate) attacker: User,
}

impl Scene {
    pub(crate) fn socket(&self) -> PathBuf {
        self.daemon.stage.path("run/try").into()
    }

    fn bare(&self) -> UnixStream {
        let stream = self.attacker.connect(&self.socket()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream
    }

    pub(crate) fn peer(&self) -> Peer {
        let mut stream = self.bare();
        assert!(begins(&mut stream), "it is admitted");
        Peer(stream)
    }

    /// Checks that an add works, that another is refused as before, and that the attacker changed nothing.
    /// Returns the line of the log that reports the attack.
    pub(crate) fn survives(mut self, logs: &str) -> String {
        let log = if logs.is_empty() { String::new() } else { self.daemon.until(logs) };
        comes_true("only the honest party is registered", || {
            let parties = stdout(&self.daemon.ask(&["parties"]));
            parties.starts_with("honest (#1") && parties.lines().count() == 1
        });
        for (id, code, says) in [("4", 0, "joined"), ("5", 1, "honest refused")] {
            let mut add = self.daemon.ask(&["add", id]);
            // A connection can end in the middle of its party's registration. Until the party has been deregistered, it refuses (L3).
            comes_true("the attacker's parties are deregistered", || {
                let is_leaving = stderr(&add).contains("pool refused")
                    && stderr(&add).contains("its connection was closed");
                if is_leaving {
                    add = self.daemon.ask(&["add", id]);
                }
                !is_leaving
            });
            let said = stdout(&add);
            assert_eq!(add.status.code(), Some(code), "add {id}: {said}{}", stderr(&add));
            assert!(said.contains(says), "{said}");
        }
        let status = stdout(&self.daemon.ask(&["status"]));
        assert!(status.contains("active: 0-1,4 "), "it changed the set: {status}");
        for args in [&["history"][..], &["history", "--json"], &["status", "--json"]] {
            is_plain(&stdout(&self.daemon.ask(args)));
        }
        is_clean(&self.daemon.end(Signal::TERM).join("\n"));
        log
    }
}

/// Sends these bytes in place of a message, and is disconnected.
fn sends(scene: &Scene, bytes: &[u8]) {
    let mut peer = scene.peer();
    let _ = peer.0.write_all(bytes);
    closed(&mut peer.0);
}

fn garbage_first(scene: &mut Scene) -> String {
    let all: [&[u8]; 5] =
        [b"\n", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\r\n", b"\0AUTH \xff\r\n", &[b'x'; 5000]];
    for garbage in all {
        let mut stream = scene.bare();
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        closed(&mut stream);
    }
    "each of its connections was closed".to_owned()
}

fn claims_to_be_another(scene: &mut Scene) -> String {
    let mut stream = scene.bare();
    stream.write_all(b"\0AUTH EXTERNAL 363432\r\n").unwrap();
    let mut said = [0; 19];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"REJECTED EXTERNAL\r\n");
    "REJECTED EXTERNAL".to_owned()
}

fn damaged(scene: &mut Scene) -> String {
    let body = (ObjectPath::try_from("/a").unwrap(), "pool", wire::LATER_ONLY, 0_i32, 100_u32);
    let call = call("Register", &body);
    for at in 0..call.data().len() {
        let mut bytes = call.data().to_vec();
        bytes[at] ^= 0x81;
        let mut peer = scene.peer();
        let _ = peer.0.write_all(&bytes);
        let _ = peer.0.shutdown(std::net::Shutdown::Write);
        closed(&mut peer.0);
    }
    format!("each of {} connections was answered or closed", call.data().len())
}

fn does_not_read(scene: &mut Scene) -> String {
    let mut peer = scene.peer();
    let call = call("GetCandidates", &());
    while peer.0.write_all(call.data()).is_ok() {}
    String::new()
}

/// Tries and keeps many connections at once. Returns how many were admitted.
fn crowd(scene: &Scene) -> usize {
    const TRIES: usize = 1500;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut admitted = Vec::new();
    for _ in 0..TRIES {
        // The handshake follows at once, because a connection without one is closed.
        let mut stream = scene.bare();
        if begins(&mut stream) {
            admitted.push(stream);
        }
    }
    let root = scene.daemon.ask(&["status"]);
    let kept = scene.attacker == User::all()[0] || root.status.success();
    assert!(kept, "root is not admitted: {}", stderr(&root));
    admitted.len()
}

fn connects_1500_times(scene: &mut Scene) -> String {
    let count = crowd(scene);
    assert!((1024..=1088).contains(&count), "{count} were admitted");
    format!("{count} connections of the partition's own user, the others were closed")
}

fn wrong_arguments(scene: &mut Scene) -> String {
    let mut peer = scene.peer();
    let mut said = String::new();
    for method in ["Register", "Add", "AddBatch", "Remove", "Rehearse", "Deregister", "GetHistory"]
    {
        said = peer.refused(method, &("nonsense", 1.5), "org.freedesktop.DBus.Error.InvalidArgs");
    }
    said
}

fn claims_time(scene: &mut Scene) -> String {
    let body = (ObjectPath::try_from("/a").unwrap(), "pool", 0_u32, 0_i32, 600_001_u32);
    scene.peer().refused("Register", &body, "org.freedesktop.DBus.Error.InvalidArgs")
}

fn adds_too_many(scene: &mut Scene) -> String {
    let ids: Vec<u32> = (2..=514).collect();
    scene.peer().refused("AddBatch", &(ids, false), "org.hotadd.Error.Limit")
}

fn names(scene: &mut Scene, names: &[&str]) -> String {
    let mut peer = scene.peer();
    let mut last = String::new();
    for name in names {
        let body = (ObjectPath::try_from("/a").unwrap(), *name, wire::LATER_ONLY, 0_i32, 0_u32);
        last = peer.refused("Register", &body, "org.hotadd.Error.Limit");
    }
    last
}

fn deregisters_another(scene: &mut Scene) -> String {
    scene.peer().refused("Deregister", &1_u64, "org.hotadd.Error.")
}

/// A user without access tries to connect.
fn stranger(attacker: User, of: User) -> String {
    let mut scene = Scene { daemon: of.daemon(""), attacker };
    let refused = scene.attacker.connect(&scene.socket()).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    // The folder and the socket are opened to all, so that only the kernel's credentials keep others out.
    for (name, mode) in [("run", 0o755), ("run/try", 0o666)] {
        let path = scene.daemon.stage.path(name);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut stream = scene.bare();
    let _ = stream.write_all(b"\0AUTH EXTERNAL 30\r\nBEGIN\r\n");
    assert_eq!(closed(&mut stream), 0, "it receives something");
    let why = scene.daemon.until("process ");
    let mut add = hotadd(&["add", "3", "-p", scene.socket().to_str().unwrap()]);
    add.stdin(Stdio::null());
    let add = ends(scene.attacker.command(add));
    assert!(!add.status.success(), "it added: {}", stdout(&add));
    assert!(why.contains("refused, because only "), "{why}");
    scene.survives("");
    why
}

/// A member of the group takes as many connections as it can, and root can still connect.
fn crowd_of_a_group() -> String {
    let stage = User(0).stage("");
    stage.write_with(&crate::who::config(""), &format!("group = '{NOBODY}'"));
    let mut daemon = Daemon::start(stage.clone(), stage.command());
    daemon.until("simulated processors");
    let scene = Scene { daemon, attacker: User(NOBODY) };
    let count = crowd(&scene);
    assert_eq!(count, 256, "exactly its share");
    scene.survives("process ")
}

/// Simple attacks, and the line of the log about each.
const DOES: [(&str, Does, &str); 18] = [
    ("sends garbage instead of a handshake", garbage_first, ""),
    ("claims to be another user", claims_to_be_another, ""),
    (
        "sends zeros",
        |s| {
            sends(s, &[0; 64]);
            String::new()
        },
        "process ",
    ),
    (
        "sends 0xff",
        |s| {
            sends(s, &[0xff; 64]);
            String::new()
        },
        "process ",
    ),
    (
        "announces 128 MiB",
        |s| {
            sends(s, b"l\x01\0\x01\0\0\0\x08\x01\0\0\0\0\0\0\0");
            String::new()
        },
        "process ",
    ),
    (
        "sends half a message",
        |s| {
            sends(s, b"l\x01\0\x01\x10\0");
            String::new()
        },
        "process ",
    ),
    (
        "says nothing",
        |s| {
            closed(&mut s.bare());
            String::from("its connection was closed")
        },
        "",
    ),
    ("sends a message with each byte of it damaged", damaged, ""),
    ("asks and asks and does not read", does_not_read, "process "),
    ("connects 1,500 times", connects_1500_times, ""),
    ("calls with wrong arguments", wrong_arguments, ""),
    ("claims more than ten minutes for each answer", claims_time, ""),
    ("adds 513 processors at once", adds_too_many, ""),
    (
        "names itself with nothing but zero-width characters",
        |s| names(s, &["\u{200b}", "\u{200b}\u{feff}\u{2060}"]),
        "",
    ),
    ("names itself with escapes", |s| names(s, &["\u{1b}[2J", "a\u{9b}H", "a\nb", EVIL]), ""),
    ("names itself to be read backwards", |s| names(s, &["\u{202e}tsenoh", "a\u{2066}"]), ""),
    (
        "names itself with blanks, with nothing, and with 65 bytes",
        |s| names(s, &[" honest", "", &"a".repeat(65)]),
        "",
    ),
    ("deregisters another", deregisters_another, ""),
];

fn all(who: User) -> Attempts {
    let mut attempts = Attempts::by(format!("a peer at the socket of a daemon of user {}", who.0));
    for (what, does, logs) in DOES {
        attempts.add(what, move || {
            let mut scene = Scene { daemon: who.daemon(""), attacker: who };
            let said = does(&mut scene);
            let logged = scene.survives(logs);
            if said.is_empty() { logged } else { said }
        });
    }
    if who.is_root() {
        attempts.add("comes as a user who may not", move || stranger(User(NOBODY), who));
        attempts.add("connects 1,500 times as one of a group", crowd_of_a_group);
    } else if who == User(NOBODY) {
        attempts.add("comes as a user who may not", move || stranger(User(61_001), who));
    } else {
        skip(Need::Root, "a peer of another user");
    }
    attempts
}

#[test]
fn a_hostile_peer_does_not_disturb_a_daemon() {
    try_all(User::all().into_iter().map(all));
}
