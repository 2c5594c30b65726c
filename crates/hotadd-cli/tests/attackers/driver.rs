//! Attacks of a hostile driver's file (hostile.c). The operator adds it to a running daemon. It attacks when
//! its code is loaded, in DriverEntry, on its own thread, or while it is asked about a processor.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use rustix::process::Signal;
use serde::Serialize;
use tempfile::TempDir;
use zbus::Message;
use zbus::zvariant::{DynamicType, ObjectPath};

use crate::common::live::{children_of, comes_true};
use crate::common::{stderr, stdout};
use crate::stage::Daemon;
use crate::who::{NOBODY, User, config};
use crate::{Attempts, is_clean, try_all};

/// When the attack runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Entry = 1,
    Constructor,
    Thread,
    Asked,
}

impl When {
    fn words(self) -> &'static str {
        match self {
            Self::Entry => "",
            Self::Constructor => " before DriverEntry",
            Self::Thread => " on a thread of its own",
            Self::Asked => " while it is asked",
        }
    }
}

/// The attack, its function in hostile.c, and the text that hotadd must report.
type Attack = (&'static str, &'static str, &'static str);

/// System calls that its sandbox forbids.
const FORBIDDEN: [Attack; 20] = [
    ("opens /etc/passwd", "reads_a_file", "openat"),
    ("makes a file", "makes_a_file", "openat"),
    ("removes a file", "removes_a_file", "unlink"),
    ("opens the memory of a process of its user", "opens_memory", "openat"),
    ("opens the switch of processor 1", "opens_a_processor", "openat"),
    ("connects to a port", "connects_by_tcp", "socket"),
    ("connects to the partition like another client", "connects_to_the_partition", "socket"),
    ("listens to the kernel", "connects_to_the_kernel", "socket"),
    ("makes a process", "makes_a_process", "clone"),
    ("runs touch", "runs_a_program", "execve"),
    ("kills a process of its user", "kills", "kill"),
    ("kills a thread of a process of its user", "kills_a_thread", "tgkill"),
    ("moves a process of its user", "moves_another", "sched_setaffinity"),
    ("ptraces a process of its user", "traces", "ptrace"),
    ("ptraces the process that hosts it", "traces_its_host", "getppid"),
    ("becomes root", "becomes_root", "setuid"),
    ("raises its limits", "raises_its_limits", "prlimit64"),
    ("makes memory that it may write and run", "makes_code", "mmap"),
    ("makes data code", "makes_data_code", "mprotect"),
    ("makes its code writable", "writes_to_its_code", "mprotect"),
];

/// More forbidden system calls, by name and number, that have been used to escape from sandboxes.
const CALLS: [(&str, u32); 17] = [
    ("process_vm_readv", 310),
    ("process_vm_writev", 311),
    ("io_uring_setup", 425),
    ("bpf", 321),
    ("userfaultfd", 323),
    ("perf_event_open", 298),
    ("unshare", 272),
    ("setns", 308),
    ("mount", 165),
    ("chroot", 161),
    ("memfd_create", 319),
    ("execveat", 322),
    ("vfork", 58),
    ("pidfd_open", 434),
    ("keyctl", 250),
    ("init_module", 175),
    ("reboot", 169),
];

/// Attacks without a forbidden system call, made while it is asked about a processor. The add must be refused
/// in its name.
const ENDS_THE_DRIVER: [Attack; 5] = [
    ("hangs all of its threads", "hangs", "no answer in "),
    ("stops itself", "stops", "no answer in "),
    ("exits as if all were well", "ends", "its process exited with status 0"),
    ("crashes", "crashes", "access violation writing 0x10"),
    (
        "sends nonsense over all sockets",
        "sends_nonsense",
        "it sent bytes that are not a D-Bus message",
    ),
];

/// Attacks that its resource limits end.
const ENDED_BY_LIMITS: [Attack; 2] = [
    ("makes 12,000 threads", "makes_threads", "its process exited with status 7"),
    ("takes 8 GiB of memory", "takes_memory", "its process exited with status 7"),
];

/// Attacks that are permitted and have no effect: the driver registers.
const WITHOUT_EFFECT: [Attack; 5] = [
    ("reads the descriptors 7 to 9, which hotadd was given", "reads_what_is_open", ""),
    (
        "searches its environment and its stack for a variable of hotadd's",
        "reads_the_environment",
        "",
    ),
    ("maps what it has open, to write to it", "maps_what_it_has_open", ""),
    ("answers 2,000 calls of others", "answers_for_others", ""),
    ("writes escapes, priorities and lines of ours, 4,000 times", "floods", ""),
];

/// Known to the operator only.
const SECRET: &str = "the secret-of-the-operator, 8317";

const FLAGS: [&str; 5] = ["-O1", "-fPIC", "-w", "-D_GNU_SOURCE", "-pthread"];

/// A copy of hostile.h, and what the compiler has read there: it would take half of the time of each attempt's compilation.
static HEADER: LazyLock<PathBuf> = LazyLock::new(|| {
    let header = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile.h");
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attackers/hostile.h"), &header).unwrap();
    let mut cc = Command::new("cc");
    cc.args(FLAGS).args(["-x", "c-header", "-c"]).arg(&header);
    let built = cc.arg("-o").arg(header.with_extension("h.gch")).output().expect("a C compiler");
    assert!(built.status.success(), "{}", stderr(&built));
    header
});

/// A daemon, and what a hostile driver may want to reach.
struct Scene {
    daemon: Daemon,
    folder: TempDir,
    victim: Victim,
    port: TcpListener,
}

impl Scene {
    fn new(who: User) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The driver's process could write here if it were not confined.
        fs::write(folder.path().join("kept"), "").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let victim = Victim::of(who);
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        port.set_nonblocking(true).unwrap();
        let stage = who.stage("");
        fs::write(stage.path("secret"), SECRET).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", "exec 7<\"$0\" 8<\"$0\" 9<\"$0\"; exec \"$@\""])
            .arg(stage.path("secret"));
        let daemon = stage.command();
        shell.arg(daemon.get_program()).args(daemon.get_args()).env("OPERATORS", SECRET);
        shell.env_remove("JOURNAL_STREAM").env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        let mut daemon = Daemon::start(stage, who.command(shell));
        daemon.until("simulated processors");
        Self { daemon, folder, victim, port }
    }

    /// Builds the driver for one attack. Returns its party for a configuration.
    fn build(&self, does: &str, when: When, more: &[String]) -> String {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attackers/hostile.c");
        let path = self.daemon.stage.path("hostile.so");
        let mut cc = Command::new("cc");
        cc.args(FLAGS).arg("-include").arg(&*HEADER);
        cc.args(["-shared", "-Wl,-Bsymbolic"]);
        cc.args([format!("-DATTEMPT={does}"), format!("-DWHEN={}", when as u32)]);
        cc.arg(format!("-DFOLDER=\"{}\"", self.folder.path().display()));
        cc.arg(format!("-DSOCKET=\"{}\"", self.daemon.stage.path("run/try")));
        cc.arg(format!("-DPORT={}", self.port.local_addr().unwrap().port()));
        cc.arg(format!("-DVICTIM={}", self.victim.0.id())).args(more);
        let built = cc.args([source, "-o", &path]).output().expect("a C compiler");
        assert!(built.status.success(), "{}", stderr(&built));
        // The tests of drivers that hang must wait for the time limit, so theirs is short.
        let limit = if matches!(does, "hangs" | "stops") { 500 } else { 20_000 };
        format!("[[party]]\ndriver = '{path},when-missing=skip,timeout={limit}'\n")
    }

    fn reads(&self, more: &str) {
        self.daemon.stage.write(&config(more));
        self.daemon.send(Signal::HUP);
    }

    fn add(&self, id: &str) -> std::process::Output {
        self.daemon.ask(&["add", id])
    }

    /// Checks that the attack was made, that it had no effect, and that other adds work. Returns all lines of
    /// the daemon.
    fn survives(mut self, does: &str, active: &str) -> Vec<String> {
        let status = stdout(&self.daemon.ask(&["status"]));
        assert!(status.contains(&format!("active: {active} ")), "it changed the set: {status}");
        let refused = self.add("5");
        assert!(
            stdout(&refused).contains("honest refused"),
            "other parties are still asked: {refused:?}"
        );
        let honest = self.add("4");
        assert!(honest.status.success(), "an honest add: {}{}", stdout(&honest), stderr(&honest));

        assert!(!self.folder.path().join("made").exists(), "it made a file");
        assert!(self.folder.path().join("kept").exists(), "it removed a file");
        assert!(self.port.accept().is_err(), "it connected to the port");
        assert_eq!(self.victim.0.try_wait().unwrap(), None, "it ended another process");
        let victim = fs::read_to_string(format!("/proc/{}/status", self.victim.0.id())).unwrap();
        assert!(victim.contains("TracerPid:\t0\n"), "it traces another process: {victim}");
        let own = fs::read_to_string("/proc/self/status").unwrap();
        let mask = |status: &str| {
            status.split("Cpus_allowed:").nth(1).unwrap().lines().next().unwrap().to_owned()
        };
        assert_eq!(mask(&victim), mask(&own), "it moved another process");

        let history = stdout(&self.daemon.ask(&["history", "--json"]));
        let pid = self.daemon.process.id();
        self.reads("");
        comes_true("its process is gone", || {
            !children_of(pid).iter().any(|(_, words)| words.contains(" host "))
        });
        let lines = self.daemon.end(Signal::TERM);
        let all = lines.join("\n");
        assert!(all.contains(&format!("hostile.so: tries {does}")), "it was not tried: {all}");
        assert!(!all.contains("got through"), "{all}");
        for (secret, what) in [("ret-of-the-op", "a secret"), ("root:x:", "/etc/passwd")] {
            assert!(!all.contains(secret) && !history.contains(secret), "it has {what}: {all}");
        }
        is_clean(&all);
        lines
    }
}

/// A process of the same user as the driver's process.
struct Victim(Child);

impl Victim {
    fn of(who: User) -> Self {
        let user = if who.is_root() { User(NOBODY) } else { who };
        let mut sleep = Command::new("sleep");
        sleep.arg("600").stdin(Stdio::null());
        Self(user.command(sleep).spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The driver is not loaded, or its add is refused, because of its attack.
fn is_ended(who: User, does: &str, when: When, why: &str, more: &[String]) -> String {
    let mut scene = Scene::new(who);
    let party = scene.build(does, when, more);
    scene.reads(&party);
    let said = if when == When::Asked {
        scene.daemon.until("the configuration was reloaded");
        let add = scene.add("2");
        assert_eq!(add.status.code(), Some(1), "it joined: {}", stdout(&add));
        stdout(&add)
    } else {
        scene.daemon.until("hotadd: the configuration was not reloaded: hostile.so ")
    };
    assert!(said.contains(why), "it did not end with {why:?}: {said}");
    let lines = scene.survives(does, "0-1");
    let threads = lines.iter().find(|line| line.starts_with("hostile.so: has "));
    let said = said.trim_start_matches("hotadd: the configuration was not reloaded: ").trim();
    threads.map_or(said.to_owned(), |threads| format!("{said} ({threads})"))
}

/// The driver registers, is asked, and the processor joins.
fn has_no_effect(who: User, does: &str, when: When, more: &[String]) -> String {
    let mut scene = Scene::new(who);
    let party = scene.build(does, when, more);
    scene.reads(&party);
    scene.daemon.until("the configuration was reloaded");
    let add = scene.add("2");
    assert!(add.status.success(), "it blocks the others: {}{}", stdout(&add), stderr(&add));
    scene.survives(does, "0-2");
    stdout(&add)
}

/// The bytes of a call of the partition, as an array for the C source.
fn call<B: Serialize + DynamicType>(method: &str, body: &B) -> [String; 1] {
    let message = Message::method_call("/org/hotadd/Partition", method).unwrap();
    let message = message.interface("org.hotadd.Partition1").unwrap().build(body).unwrap();
    let bytes: Vec<String> = message.data().iter().map(u8::to_string).collect();
    [format!("-DCALL={}", bytes.join(","))]
}

/// Messages that it sends to the partition over its own socket.
fn messages() -> Vec<(&'static str, [String; 1], &'static str)> {
    let agent = ObjectPath::try_from("/org/hotadd/Agent").unwrap();
    let register = |name: &str| call("Register", &(&agent, name, 0_u32, 0_i32, 600_000_u32));
    vec![
        ("adds processor 3", call("Add", &3_u32), "calls Add"),
        ("adds processors 3 and 4", call("AddBatch", &(vec![3_u32, 4], false)), "calls AddBatch"),
        ("removes processor 1", call("Remove", &1_u32), "calls Remove"),
        ("rehearses an add", call("Rehearse", &3_u32), "calls Rehearse"),
        ("has another party started anew", call("RestartParty", &"honest"), "calls RestartParty"),
        ("registers as another party", register("honest"), "registers as honest"),
        ("registers by a name that cannot be seen", register("\u{200b}"), "registers as "),
        ("calls what there is not", call("Explode", &"c:"), "calls Explode"),
    ]
}

/// hotadd is killed while the driver has hung all of its threads or stopped its process.
fn ends_with_us(who: User, does: &str) -> String {
    let mut scene = Scene::new(who);
    let party = scene.build(does, When::Entry, &[]);
    scene.reads(&party.replace("timeout=500", "timeout=600000"));
    scene.daemon.until(&format!("hostile.so: tries {does}"));
    let (host, _) = children_of(scene.daemon.process.id())
        .into_iter()
        .find(|(_, words)| words.contains(" host "))
        .expect("it has a process");
    let stat = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    scene.daemon.kill();
    comes_true("its process ends with hotadd", || {
        let stat = stat(host);
        stat.is_empty() || stat.contains(") Z ")
    });
    "its process ended with hotadd".to_owned()
}

fn all(who: User) -> Attempts {
    let mut attempts = Attempts::by(format!("a driver's file, of a daemon of user {}", who.0));
    // The sandbox does not depend on our user. Where both users are tested, each tests some of the moments.
    let both = who != User::all()[0];
    let moments = match (both, who.is_root()) {
        (true, _) => &[When::Entry][..],
        (false, true) => &[When::Constructor, When::Asked],
        (false, false) => &[When::Entry, When::Constructor, When::Asked],
    };
    for (what, does, name) in FORBIDDEN {
        for when in moments.iter().copied() {
            let why = format!("makes the system call {name}, which its sandbox forbids");
            let what = format!("{what}{}", when.words());
            attempts.add(what, move || is_ended(who, does, when, &why, &[]));
        }
    }
    for (name, number) in CALLS.into_iter().filter(|_| !both) {
        let why = format!("makes the system call {name}, which its sandbox forbids");
        let number = [format!("-DNUMBER={number}")];
        attempts.add(format!("makes the system call {name}{}", When::Thread.words()), move || {
            is_ended(who, "makes_a_call", When::Thread, &why, &number)
        });
    }
    // The C library tries it first, and uses clone if it fails.
    attempts.add("makes the system call clone3", move || {
        has_no_effect(who, "makes_a_call", When::Entry, &["-DNUMBER=435".to_owned()])
    });
    attempts.add("opens a file as a program of 32 bits does", move || {
        is_ended(who, "makes_a_call_of_32_bits", When::Entry, "killed by SIGSYS", &[])
    });
    for (what, message, why) in messages() {
        for when in if both { &[When::Asked][..] } else { &[When::Entry, When::Constructor] } {
            let what = format!("{what} over its own socket{}", when.words());
            let message = message.clone();
            attempts.add(what, move || is_ended(who, "sends_a_message", *when, why, &message));
        }
    }
    for (when, list) in [(When::Asked, &ENDS_THE_DRIVER[..]), (When::Entry, &ENDED_BY_LIMITS)] {
        for (what, does, why) in list.iter().copied() {
            let what = format!("{what}{}", when.words());
            attempts.add(what, move || is_ended(who, does, when, why, &[]));
        }
    }
    for (what, does, _) in WITHOUT_EFFECT {
        for when in [When::Entry, When::Asked] {
            let what = format!("{what}{}", when.words());
            attempts.add(what, move || has_no_effect(who, does, when, &[]));
        }
    }
    for (what, does) in [("hangs all of its threads", "hangs"), ("stops itself", "stops")] {
        attempts.add(format!("{what}, and hotadd is killed"), move || ends_with_us(who, does));
    }
    attempts
}

#[test]
fn a_hostile_drivers_file_has_no_effect_on_others() {
    try_all(User::all().into_iter().map(all));
}
