//! Attacks of a stranger on a message bus, to which every user may connect. It calls the partition of a
//! machine with the command line, and with raw messages. Needs root, and starts its own bus.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use hotadd_testing::Need;
use rustix::process::Signal;

use crate::common::live::ends;
use crate::common::{hotadd, stderr, stdout};
use crate::daemon::Daemon as Bus;
use crate::stage::Daemon;
use crate::who::{NOBODY, User, config};
use crate::{Attempts, is_clean, try_all};

/// The group of the partition. No user is a member.
const GROUP: u32 = 61_234;

/// A bus, and a machine's partition on it.
struct OnBus {
    daemon: Daemon,
    bus: Bus,
    _folder: tempfile::TempDir,
}

impl OnBus {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let bus = Bus::start(folder.path());
        let stage = User(0).stage("");
        let keys = format!("group = '{GROUP}'\nbus = '{}'", bus.address);
        stage.write_with(&config(""), &keys);
        let mut daemon = Daemon::start(stage.clone(), stage.command());
        daemon.until("simulated processors");
        let this = Self { daemon, bus, _folder: folder };
        crate::common::live::comes_true("it is on the bus", || {
            this.hotadd(User(0), &["status"]).status.success()
        });
        this
    }

    /// The command line of a user, over the bus.
    fn hotadd(&self, who: User, args: &[&str]) -> Output {
        ends(who.command(hotadd(&[args, &["--bus", &self.bus.address]].concat())))
    }

    /// Sends a stranger's raw call with dbus-send.
    fn sends(&self, what: &[&str]) -> Output {
        let mut send = Command::new("dbus-send");
        send.arg(format!("--bus={}", self.bus.address))
            .args(["--print-reply", "--dest=org.hotadd.Hotadd1"]);
        ends(User(NOBODY).command({
            send.args(what);
            send
        }))
    }

    fn survives(self) {
        let status = stdout(&self.hotadd(User(NOBODY), &["status"]));
        assert!(
            status.contains("active: 0-1 "),
            "every user may read, and the set is unchanged: {status}"
        );
        let parties = stdout(&self.hotadd(User(0), &["parties"]));
        assert!(parties.starts_with("honest (#1") && parties.lines().count() == 1, "{parties}");
        let add = self.hotadd(User(0), &["add", "4"]);
        assert!(add.status.success(), "an honest add: {}{}", stdout(&add), stderr(&add));
        is_clean(&self.daemon.end(Signal::TERM).join("\n"));
    }
}

fn asks(args: &[&str]) -> String {
    let on = OnBus::new();
    let output = on.hotadd(User(NOBODY), args);
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("root and members of the group {GROUP}")), "{said}");
    on.survives();
    said
}

fn calls(method: &str, arguments: &[&str], says: &str) -> String {
    let on = OnBus::new();
    let method = format!("org.hotadd.Partition1.{method}");
    let output = on.sends(&[&["/org/hotadd/Partition", &method][..], arguments].concat());
    let said = stdout(&output) + &stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(says), "{said}");
    on.survives();
    said
}

fn all() -> Attempts {
    let mut attempts = Attempts::by("a stranger on a bus");
    let commands: [(&str, &[&str]); 4] = [
        ("adds a processor", &["add", "3"]),
        ("removes a processor", &["remove", "1"]),
        ("rehearses an add", &["rehearse", "3"]),
        ("has a party started anew", &["parties", "--restart", "honest"]),
    ];
    for (what, args) in commands {
        attempts.add(what, move || asks(args));
    }
    attempts.add("registers a party", || {
        let party = ["objpath:/a", "string:pool", "uint32:1", "int32:0", "uint32:0"];
        calls("Register", &party, "org.freedesktop.DBus.Error.AccessDenied")
    });
    attempts.add("deregisters another", || calls("Deregister", &["uint64:1"], "has no party 1"));
    attempts
}

#[test]
fn a_stranger_on_a_bus_changes_nothing() {
    if !Need::Root.is_met("a stranger on a bus") {
        return;
    }
    try_all([all()]);
}
