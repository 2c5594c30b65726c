//! The Debian package of `dist/deb` on a Debian system, as docs/install.md says: it is installed, the service is enabled, a party refuses
//! a processor and the reason is read in each way that there is, the package is upgraded, and purged.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Guest, Kernel};

use crate::common::daemon::{SAID, hotadd, online, until};
use crate::common::journal::follow;
use crate::common::{lab, text};

/// Longer than it takes to unpack everything in an emulated machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Where the guest has the packages.
const PACKAGES: &str = "/tmp/packages";

/// Runs `hotadd watch` in a terminal until it shows this text, and quits it. Prints everything that was drawn.
const WATCH: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time
child, terminal = pty.fork()
if child == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    os.execvpe("hotadd", ["hotadd", "watch"], {**os.environ, "TERM": "xterm"})
drawn, end = b"", time.monotonic() + 60
while sys.argv[1].encode() not in drawn and time.monotonic() < end:
    if select.select([terminal], [], [], 1)[0]:
        drawn += os.read(terminal, 65536)
print(drawn.decode(errors="replace"))
os.write(terminal, b"q")
try:
    while os.read(terminal, 65536): pass
except OSError: pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#;

/// The reason that the agent gives.
const REASON: &str = "there is no room for processor 1";

#[test]
fn the_package_is_installed_asks_parties_is_upgraded_and_leaves_nothing_when_purged() {
    let guest = system();
    let before = paths(&guest);
    installing_starts_nothing(&guest);
    a_refused_processors_reason_is_read_wherever_one_looks(&guest);
    an_upgrade_restarts_the_service_and_keeps_what_was_decided(&guest);
    purging_leaves_nothing_running_and_only_the_group(&guest, &before);
}

/// Builds the package in this version, and returns its path.
fn build(folder: &Path, version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let program = lab::binary("hotadd").unwrap();
    let out = folder.join(version);
    let mut build = Command::new(root.join("dist/deb/build"));
    build.arg(format!("OUT={}", out.display())).arg(format!("VERSION={version}"));
    build.arg(format!("BINARY={}", program.display()));
    // Nobody downloads it.
    build.env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let built = build.output().unwrap();
    assert!(built.status.success(), "{version}: {}", text(&built.stderr));
    out.join(format!("hotadd_{version}-1_amd64.deb"))
}

/// A Debian system with the packages in two versions, and an agent.
fn system() -> Guest {
    let folder = tempfile::tempdir().unwrap();
    let agent = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agent.py");
    let lab = lab(Kernel::V6_12).debian().unwrap().cpus(1, 8);
    let lab = lab.file(&agent, "/tmp/agent.py");
    let lab = lab.file(&build(folder.path(), "1.0.0"), &format!("{PACKAGES}/1.deb"));
    let lab = lab.file(&build(folder.path(), "1.0.1"), &format!("{PACKAGES}/2.deb"));
    let guest = lab.boot().unwrap();
    run(&guest, &["touch", "/var/lib/dpkg/status"]);
    guest
}

/// dpkg does not know the packages of the guest, so it cannot know that those which this one needs are there.
fn dpkg(guest: &Guest, args: &[&str]) {
    run(guest, &[&["dpkg", "--force-depends,bad-path"], args].concat());
}

fn installing_starts_nothing(guest: &Guest) {
    dpkg(guest, &["--install", &format!("{PACKAGES}/1.deb")]);
    assert_eq!(show(guest, "UnitFileState"), "disabled", "the administrator enables it");
    assert_eq!(show(guest, "ActiveState"), "inactive", "nothing was started");
}

fn a_refused_processors_reason_is_read_wherever_one_looks(guest: &Guest) {
    follow(guest, "hotadd");
    run(guest, &["systemctl", "enable", "--now", "hotadd"]);
    until(guest, SAID, "listening at");
    // -B: Python keeps no compiled modules, which would be left.
    let agent = ["python3", "-B", "/tmp/agent.py", "system", "--refuse", "1"];
    guest.start(&agent, "/tmp/agent").unwrap();
    until(guest, "/tmp/agent", "registered as party");

    guest.add_cpu(1).unwrap();
    until(guest, SAID, "1 stays out");
    assert_eq!(online(guest, 1), "0", "one refused, and it stays off (A3)");
    let journal = run(guest, &["journalctl", "-u", "hotadd", "HOTADD_PROCESSOR=1", "-o", "cat"]);
    for (what, said) in [
        ("status", hotadd(guest, &["status"]).0),
        ("history", hotadd(guest, &["history"]).0),
        ("the journal", journal),
        ("the trace", run(guest, &["hotadd", "trace", "--for", "1ms"])),
        ("the page of the trace", run(guest, &["hotadd", "trace", "--for", "1ms", "--html"])),
        ("watch", run(guest, &["python3", "-B", "-c", WATCH, REASON])),
    ] {
        assert!(said.contains(REASON) && said.contains("agent.py"), "{what}: {said}");
    }
    let metrics = run(guest, &["hotadd", "metrics"]);
    assert!(
        metrics.lines().any(|line| line == r#"hotadd_vetoes_total{party="agent.py"} 1"#),
        "the metrics: {metrics}"
    );
}

fn an_upgrade_restarts_the_service_and_keeps_what_was_decided(guest: &Guest) {
    let pid = show(guest, "MainPID");
    dpkg(guest, &["--install", &format!("{PACKAGES}/2.deb")]);
    assert_eq!(show(guest, "UnitFileState"), "enabled", "it stays enabled");
    assert_eq!(show(guest, "ActiveState"), "active", "it runs");
    assert_ne!(show(guest, "MainPID"), pid, "the new version runs");
    guest.add_cpu(2).unwrap();
    until(guest, SAID, "processor 2 joined");
    assert_eq!(online(guest, 1), "0", "what was refused stays so (A4)");
}

fn purging_leaves_nothing_running_and_only_the_group(guest: &Guest, before: &[String]) {
    dpkg(guest, &["--purge", "hotadd"]);
    assert_eq!(show(guest, "LoadState"), "not-found", "there is no such service");
    let running = guest.run(&["pgrep", "-x", "hotadd"]).unwrap();
    assert_eq!(text(&running.stdout), "", "no process of it runs");
    let after = paths(guest);
    let left: Vec<_> = after.iter().filter(|path| !before.contains(path)).collect();
    assert!(left.is_empty(), "purging leaves these: {left:?}");
    let run = guest.run(&["ls", "/run/hotadd"]).unwrap();
    assert!(!run.status.success(), "what was decided is removed: {}", text(&run.stdout));
    assert!(guest.read("/etc/group").unwrap().contains("\nhotadd:"), "the group stays");
    assert_eq!((&*online(guest, 1), &*online(guest, 2)), ("0", "1"), "no processor changes");
}

/// All paths on which packages may leave something: not dpkg's records, and not the backups of the list of groups.
fn paths(guest: &Guest) -> Vec<String> {
    let all = run(guest, &["find", "/etc", "/usr", "/var", "-xdev"]);
    let own = |path: &&str| {
        let ignored = ["/var/lib/dpkg/", "/var/log/", "/var/cache/ldconfig"];
        !ignored.iter().any(|start| path.starts_with(start))
            && !matches!(*path, "/etc/group-" | "/etc/gshadow-" | "/etc/gshadow" | "/etc/.pwd.lock")
    };
    all.lines().filter(own).map(str::to_owned).collect()
}

/// The output of a program, which must succeed.
fn run(guest: &Guest, argv: &[&str]) -> String {
    let ran = guest.run_within(LIMIT, argv).unwrap();
    let said = text(&ran.stdout) + &text(&ran.stderr);
    assert!(ran.status.success(), "{argv:?}: {said}");
    text(&ran.stdout)
}

/// A property of the service, as systemd shows it.
fn show(guest: &Guest, property: &str) -> String {
    let said = run(guest, &["systemctl", "show", "--value", "-p", property, "hotadd"]);
    said.trim().to_owned()
}
