//! Attacks by files that other users made or may change: a configuration, a driver's file and a program,
//! which hotadd reads or runs. Also forged kernel events.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use hotadd_testing::Need;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::common::live::ends;
use crate::common::{hotadd, stderr, stdout};
use crate::stage::Stage;
use crate::who::{NOBODY, User, config};
use crate::{Attempts, is_clean, is_plain, try_all};

const SECRET: &str = "the secret-of-the-operator, 8317";

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn pipe(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // The file type alone must decide, so that every user may open it.
    mode(path, 0o644);
}

/// A file in a fixture folder.
fn at(stage: &Stage, name: &str) -> std::path::PathBuf {
    stage.path(name).trim_end_matches('/').into()
}

/// A defect, the function that makes it in a fixture, and the message about it.
type Spoil = (&'static str, fn(&Stage), &'static str);

const CONFIGS: [Spoil; 8] = [
    ("a pipe", |s| replace(s, pipe), "is not a regular file"),
    (
        "a device without an end",
        |s| replace(s, |p| symlink("/dev/zero", p).unwrap()),
        "is not a regular file",
    ),
    (
        "longer than 1 MiB",
        |s| fs::write(at(s, "hotadd.toml"), "#".repeat((1 << 20) + 1)).unwrap(),
        "longer than 1 MiB",
    ),
    ("no text", |s| fs::write(at(s, "hotadd.toml"), [0xff; 4096]).unwrap(), "invalid utf-8"),
    (
        "nested 100,000 times",
        |s| fs::write(at(s, "hotadd.toml"), format!("a={}", "[".repeat(100_000))).unwrap(),
        "hotadd.toml",
    ),
    ("full of escapes", |s| fs::write(at(s, "hotadd.toml"), crate::EVIL).unwrap(), "hotadd.toml"),
    ("writable by every user", |s| mode(&at(s, "hotadd.toml"), 0o646), "every user may write to"),
    (
        "in a folder that every user may write to",
        |s| mode(&at(s, ""), 0o777),
        "every user may write to",
    ),
];

fn replace(stage: &Stage, make: fn(&Path)) {
    let path = at(stage, "hotadd.toml");
    fs::remove_file(&path).unwrap();
    make(&path);
}

/// Damages the configuration of a running daemon. The check must report it, a reload must change nothing, and
/// a new daemon must not begin.
fn spoiled(who: User, spoil: impl FnOnce(&Stage), says: &str) -> String {
    let mut daemon = who.daemon("");
    let (stage, path) = (daemon.stage.clone(), daemon.stage.path("hotadd.toml"));
    spoil(&stage);
    let check = ends(who.command(hotadd(&["config", "check", &path])));
    let said = stderr(&check);
    assert_eq!(check.status.code(), Some(1), "{said}");
    assert!(said.contains(says), "it does not say {says:?}: {said}");
    is_plain(&said);
    let second = ends(who.command(stage.command()));
    assert_eq!(second.status.code(), Some(2), "{}", stderr(&second));
    daemon.send(Signal::HUP);
    daemon.until("hotadd: the configuration was not reloaded: ");
    mode(&at(&stage, ""), 0o755);
    let add = daemon.ask(&["add", "4"]);
    assert!(add.status.success(), "an honest add: {}{}", stdout(&add), stderr(&add));
    is_clean(&daemon.end(Signal::TERM).join("\n"));
    said
}

/// Makes a driver's file party.so, with the message about it.
const DRIVERS: [Spoil; 4] = [
    ("a pipe", |s| pipe(&at(s, "party.so")), "not a regular file"),
    (
        "a device without an end",
        |s| symlink("/dev/zero", at(s, "party.so")).unwrap(),
        "not a regular file",
    ),
    ("half of a program", |s| half(&at(s, "party.so")), ""),
    ("0xff", |s| fs::write(at(s, "party.so"), [0xff; 4096]).unwrap(), ""),
];

fn half(path: &Path) {
    let whole = fs::read("/usr/bin/env").unwrap();
    fs::write(path, &whole[..whole.len() / 2]).unwrap();
}

/// With an invalid driver's file a run does not begin, `inspect` reports the defect, and a daemon keeps its
/// configuration.
fn no_driver(who: User, make: impl FnOnce(&Stage), says: &str) -> String {
    let mut daemon = who.daemon("");
    let stage = daemon.stage.clone();
    make(&stage);
    let path = stage.path("party.so");
    for args in [&["run", "--simulate", "1+1", "--driver", &path][..], &["inspect", &path]] {
        let output = ends(who.command(hotadd(args)));
        let said = stdout(&output) + &stderr(&output);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?} does not say {says:?}: {said}");
        is_plain(&said);
    }
    stage.write(&config(&format!("[[party]]\ndriver = '{path}'\n")));
    daemon.send(Signal::HUP);
    let said = daemon.until("hotadd: the configuration was not reloaded: ");
    let add = daemon.ask(&["add", "4"]);
    assert!(add.status.success(), "an honest add: {}{}", stdout(&add), stderr(&add));
    is_clean(&daemon.end(Signal::TERM).join("\n"));
    said.trim_start_matches("hotadd: the configuration was not reloaded: ").to_owned()
}

/// A driver with code that the dynamic linker would run while it loads the file (an ifunc).
fn chooses(stage: &Stage) {
    let (source, path) = (at(stage, "party.c"), at(stage, "party.so"));
    let text = "static int one(void) { return 1; } static int (*choose(void))(void) { return one; }
        int chosen(void) __attribute__((ifunc(\"choose\")));
        int DriverEntry(void *driver, void *path) { return chosen() - 1; }\n";
    fs::write(&source, text).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC"]).arg(source).arg("-o").arg(path).output();
    assert!(built.unwrap().status.success());
}

/// A program that creates a file when it runs.
fn script(stage: &Stage, first: &str, says: &str) -> String {
    let path = stage.path("party");
    fs::write(&path, format!("{first}\n{says} >{}\n", stage.path("ran"))).unwrap();
    mode(Path::new(&path), 0o755);
    path
}

fn runs(who: User, path: &str) -> Output {
    let driver = format!("exec:{path}");
    let mut run = hotadd(&["run", "--simulate", "1+1", "--driver", &driver]);
    run.env("OPERATORS", SECRET);
    ends(who.command(run))
}

/// A program that others may change does not run.
fn no_program(who: User, first: &str, spoil: impl FnOnce(&Stage), says: &str) -> String {
    let stage = who.stage("");
    let path = script(&stage, first, "echo it ran");
    who.give(&at(&stage, ""));
    spoil(&stage);
    let output = runs(who, &path);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(says), "{}", stderr(&output));
    assert!(!at(&stage, "ran").exists(), "it ran");
    stderr(&output)
}

fn looks_around(who: User) -> String {
    let stage = who.stage("");
    let path = script(&stage, "#!/bin/sh", "{ env; ls -l /proc/self/fd; }");
    who.give(&at(&stage, ""));
    let output = runs(who, &path);
    assert!(output.status.success(), "{}", stderr(&output));
    let found = fs::read_to_string(at(&stage, "ran")).expect("it has run");
    assert!(!found.contains(SECRET), "{found}");
    // Descriptors that the starter of hotadd left inheritable are not hotadd's concern (docs/limits.md).
    let ours = ["socket:", "anon_inode:", "/tmp/"];
    let open = found.lines().filter_map(|line| line.split_once(" -> "));
    let open: Vec<_> = open.map(|(_, to)| to).filter(|to| !to.ends_with("/ran")).collect();
    assert!(open.contains(&"/dev/null"), "it listed its descriptors: {found}");
    let bad = open.iter().find(|to| ours.iter().any(|ours| to.starts_with(ours)));
    assert_eq!(bad, None, "hotadd's: {found}");
    "it ran, and found nothing of hotadd's open, nor a variable".to_owned()
}

/// Sends a forged uevent about a new processor to hotadd.
const FORGES: &str = r"
import socket, sys
with open('/proc/net/netlink') as table:
    ports = [line.split()[2] for line in table.readlines()[1:] if line.split()[1] == '15' and line.split()[9] in sys.argv[1:]]
sender = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
word = b'add@/devices/system/cpu/cpu1\0ACTION=add\0DEVPATH=/devices/system/cpu/cpu1\0SUBSYSTEM=cpu\0SEQNUM=1\0'
sent = [sender.sendto(word, (int(port), 0)) for port in ports]
print(len(sent), flush=True)
";

fn forges_events(who: User) -> String {
    let mut run = hotadd(&["run", "--over", "affinity", "--add", "none", "--json", "--", "cat"]);
    run.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut run = who.command(run).spawn().unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let sockets = || -> Vec<String> {
        let fds = fs::read_dir(format!("/proc/{}/fd", run.id())).unwrap();
        let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        links
            .filter_map(|to| {
                Some(to.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
            })
            .collect()
    };
    let mut sent = String::new();
    crate::common::live::comes_true("it listens to the kernel", || {
        let mut python = Command::new("/usr/bin/python3");
        python.args(["-c", FORGES]).args(sockets());
        sent = stdout(
            &User(if who.is_root() { NOBODY } else { who.0 }).command(python).output().unwrap(),
        );
        sent.trim() != "0"
    });
    drop(run.stdin.take());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(run.wait().unwrap().success());
    assert!(first.contains("\"partition\""), "{first}");
    assert!(
        !rest.iter().any(|line| line.contains("\"joined\"") || line.contains("\"breach\"")),
        "{rest:#?}"
    );
    rest.last().unwrap().clone()
}

fn all(who: User) -> Attempts {
    let mut attempts = Attempts::by(format!("files and words that reach hotadd of user {}", who.0));
    for (what, spoil, says) in CONFIGS {
        attempts.add(format!("a configuration that is {what}"), move || spoiled(who, spoil, says));
    }
    for (what, make, says) in DRIVERS {
        attempts.add(format!("a driver's file that is {what}"), move || no_driver(who, make, says));
    }
    attempts.add("a driver's file whose code runs while it is loaded", move || {
        no_driver(who, chooses, "ifunc")
    });
    attempts.add("a program without a first line", move || no_program(who, "", |_| (), "party"));
    attempts.add("a program that every user may write to", move || {
        no_program(who, "#!/bin/sh", |s| mode(&at(s, "party"), 0o757), "every user may write to")
    });
    attempts.add("a program that looks for what hotadd has", move || looks_around(who));
    attempts.add("a uevent that the kernel did not send", move || forges_events(who));
    if !Need::Root.is_met("files of another user") {
        return attempts;
    }
    let other = if who.is_root() { NOBODY } else { 61_001 };
    let give = move |stage: &Stage, name: &str| chown(at(stage, name), Some(other), None).unwrap();
    attempts.add("a configuration of another user", move || {
        spoiled(who, |s| give(s, "hotadd.toml"), &format!("belongs to user {other}"))
    });
    attempts.add("a program of another user", move || {
        no_program(who, "#!/bin/sh", |s| give(s, "party"), &format!("belongs to user {other}"))
    });
    attempts
}

#[test]
fn files_of_other_users_and_forged_events_have_no_effect() {
    try_all(User::all().into_iter().map(all));
}
