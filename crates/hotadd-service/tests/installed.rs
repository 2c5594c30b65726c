//! The files of dist/ for a machine's partition, tested with the programs that read them: a dbus-daemon with
//! this machine's own configuration, and a separate polkit.

mod common;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use hotadd::{EventKind, HardwareId, State};
use hotadd_service::{Access, BusAddress, MACHINE_BUS_NAME};
use hotadd_testing::{Need, skip};
use hotadd_wire::{self as wire, WireProcessor};
use zbus::Message;

use common::daemon::Daemon;
use common::{PATIENCE, Peer, Served, User};

/// Users that every system has, in no relevant group.
const NOBODY: User = User { uid: 65_534, gid: 65_534 };
const DAEMON: User = User { uid: 1, gid: 1 };

const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";
const CHALLENGE: &str = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";

/// Rules in addition to our policy, as an administrator may write them.
const RULES: &str = r#"
polkit.addRule(function (action, subject) {
    if (subject.user == "daemon" && action.id == "org.hotadd.register") return polkit.Result.YES;
    if (subject.user == "daemon" && action.id == "org.hotadd.change") return polkit.Result.NO;
});
"#;

/// The result of Add.
type Changed = (WireProcessor, u64);

fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist").canonicalize().unwrap()
}

/// A folder that every user may list.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Kills a process when it is dropped.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A bus like the machine's, with polkit on it.
struct System {
    daemon: Daemon,
    _polkit: Ends,
    _folder: tempfile::TempDir,
}

impl System {
    /// `None` if this machine lacks something, which a line reports.
    fn new() -> Option<Self> {
        const WHAT: &str = "the files of dist/";
        let without = |what: &str| {
            skip(Need::Polkit, &format!("{WHAT}: {what}"));
            None::<Self>
        };
        if !Need::Root.is_met(WHAT) {
            return None;
        }
        let places = ["/usr/lib/polkit-1/polkitd", "/usr/libexec/polkitd"];
        let Some(program) = places.into_iter().find(|path| Path::new(path).exists()) else {
            return without("there is no polkit here");
        };
        let folder = folder();
        let Some(daemon) = Daemon::like_the_machines(folder.path()) else {
            return without("there is no configuration of a system bus here");
        };
        let (actions, rules) = (folder.path().join("actions"), folder.path().join("rules"));
        for (folder, name, content) in [
            (&actions, "org.hotadd.policy", fs::read(dist().join("org.hotadd.policy")).unwrap()),
            (&rules, "10-test.rules", RULES.as_bytes().to_vec()),
        ] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(name), content).unwrap();
        }
        // polkit's folders cannot be configured. They are mounted for this process only.
        let script = "mount --bind \"$1\" /usr/share/polkit-1/actions && \
            mount --bind \"$2\" /etc/polkit-1/rules.d && exec \"$3\" --no-debug";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
        command
            .arg(&actions)
            .arg(&rules)
            .arg(program)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &daemon.address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut polkit = Ends(command.spawn().expect("unshare is of util-linux"));
        let (root, began) = (Peer::on_bus(&daemon.address), Instant::now());
        while !root.has_owner("org.freedesktop.PolicyKit1") {
            if polkit.0.try_wait().unwrap().is_some() {
                return without("polkit could not be started with them");
            }
            assert!(began.elapsed() < PATIENCE, "polkit does not come to the bus");
        }
        Some(Self { daemon, _polkit: polkit, _folder: folder })
    }

    fn peer(&self, user: User) -> Peer {
        Peer::on_bus_as(&self.daemon.socket, user)
    }

    /// A partition with one active processor and two to add.
    fn partition(&self) -> Served {
        let served = Served::for_those(Access::machine("0").unwrap(), 1, 2);
        let address: BusAddress = self.daemon.address.parse().unwrap();
        served.service().join_bus(&address).expect("root may have the name");
        served
    }
}

#[test]
fn polkit_decides_about_access_and_agents_of_any_user_are_called() {
    let Some(system) = System::new() else { return };
    let served = system.partition();
    let (agent, nobody) = (system.peer(DAEMON), system.peer(NOBODY));
    let party = agent.register("pool", wire::LATER_ONLY, 0, 0);
    let failure = agent.call::<_, Changed>("Add", &1_u32).unwrap_err();
    assert_eq!(failure.name, DENIED, "a rule says no: {}", failure.message);

    nobody
        .call::<_, Vec<(u64, String, i32, bool)>>("GetParties", &())
        .expect("every user may read");
    let failure = nobody.call::<_, Changed>("Add", &1_u32).unwrap_err();
    assert_eq!(failure.name, CHALLENGE, "our policy asks for a password: {}", failure.message);
    nobody.begin_interactively("Add", &1_u32);
    let failure = nobody.end::<Changed>().unwrap_err();
    assert_eq!(failure.name, DENIED, "no agent can ask for a password: {}", failure.message);
    assert_eq!(served.partition.count(), 1);

    let partition = served.adder();
    let add = std::thread::spawn(move || partition.add(HardwareId(1)));
    agent.agrees_to(State::AddStart, party);
    agent.agrees_to(State::AddComplete, party);
    add.join().unwrap().unwrap();
    agent.signal("Joined");
    nobody.signal("Joined");
    agent.hang_up();
    served.wait(|event| event.kind == EventKind::Deregistered);
}

#[test]
fn the_bus_policy_reserves_the_name_and_the_calls_of_agents() {
    let Some(system) = System::new() else { return };
    let (agent, nobody) = (system.peer(DAEMON), system.peer(NOBODY));
    let own = nobody.connection.request_name(MACHINE_BUS_NAME);
    let refused = nobody.runtime.block_on(own).unwrap_err().to_string();
    assert!(refused.contains("is not allowed to own the service"), "{refused}");

    let served = system.partition();
    let party = agent.register("pool", wire::LATER_ONLY, 0, 0);
    let agents_name = agent.connection.unique_name().unwrap().as_str();
    let forged = Message::method_call("/pool", "AddStart").unwrap();
    let forged = forged.interface(wire::AGENT).unwrap().destination(agents_name).unwrap();
    let stranger = system.peer(NOBODY);
    stranger.send(&forged.build(&(party,)).unwrap());
    let failure = stranger.end::<()>().unwrap_err();
    assert!(failure.name == DENIED && failure.message.contains("Rejected send"), "{failure:?}");

    let stranger = system.peer(NOBODY);
    for (interface, method) in [
        ("org.freedesktop.DBus.Peer", "Ping"),
        ("org.freedesktop.DBus.Introspectable", "Introspect"),
        ("org.freedesktop.DBus.Properties", "GetAll"),
    ] {
        let arguments = if method == "GetAll" { wire::PARTITION } else { "" };
        match arguments {
            "" => stranger.begin_at(wire::PARTITION_PATH, interface, method, &()),
            interface_of => {
                stranger.begin_at(wire::PARTITION_PATH, interface, method, &interface_of);
            }
        }
        let answered = stranger.answer();
        assert_eq!(answered.message_type(), zbus::message::Type::MethodReturn, "{answered}");
    }
    stranger.begin_at(wire::PARTITION_PATH, "org.example.Other", "Do", &());
    let failure = stranger.end::<()>().unwrap_err();
    assert!(
        failure.message.contains("Rejected send"),
        "other calls are rejected by the bus: {failure:?}"
    );
    agent.was_not_asked();
    drop(served);
}

#[test]
fn the_limit_of_parties_fits_the_limit_of_pending_replies_of_the_bus() {
    let Some(system) = System::new() else { return };
    let served = system.partition();
    let root = User { uid: 0, gid: 0 };
    let parties = [(system.peer(root), 64), (system.peer(root), 32)];
    for (peer, count) in &parties {
        for _ in 0..*count {
            peer.register("pool", wire::LATER_ONLY, 0, 0);
        }
    }
    let one_more = system.peer(root);
    one_more.begin_register("pool", wire::LATER_ONLY, 0, 0);
    let failure = one_more.end::<(u64, u64)>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Limit", "{}", failure.message);
    let partition = served.adder();
    let rehearsal = std::thread::spawn(move || partition.rehearse(HardwareId(1)));
    for _ in [State::AddStart, State::AddFailure] {
        // All of them, before any has answered.
        let each = |(peer, count): &(Peer, usize)| (0..*count).map(|_| peer.asked()).collect();
        let asked: Vec<Vec<_>> = parties.iter().map(each).collect();
        for ((peer, _), asked) in parties.iter().zip(&asked) {
            asked.iter().for_each(|asked| peer.agree(&asked.call));
        }
    }
    let answers = rehearsal.join().unwrap().unwrap().answers;
    assert_eq!(answers.len(), 96);
    assert!(
        answers.iter().all(|answer| answer.answer.is_ok()),
        "the bus delivers all calls: {answers:?}"
    );
}

#[test]
fn polkit_requires_an_administrators_password_for_both_actions() {
    let Some(system) = System::new() else { return };
    for action in ["org.hotadd.register", "org.hotadd.change"] {
        let mut command = Command::new("pkaction");
        command.args(["--verbose", "--action-id", action]);
        let output = command.env("DBUS_SYSTEM_BUS_ADDRESS", &system.daemon.address).output();
        let output = output.expect("pkaction comes with polkit");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        for who in ["any", "inactive", "active"] {
            let line =
                said.lines().find(|line| line.trim().starts_with(&format!("implicit {who}:")));
            assert!(line.is_some_and(|line| line.ends_with("auth_admin_keep")), "{who}: {said}");
        }
        assert!(said.contains("Authentication is required to"), "{said}");
    }
}

#[test]
fn the_bus_can_activate_the_name() {
    let folder = folder();
    let daemon = Daemon::with_services(folder.path(), &dist());
    let peer = Peer::on_bus(&daemon.address);
    let names = peer.runtime.block_on(async {
        let dbus = zbus::fdo::DBusProxy::new(&peer.connection).await.unwrap();
        dbus.list_activatable_names().await.unwrap()
    });
    assert!(names.iter().any(|name| name.as_str() == MACHINE_BUS_NAME), "{names:?}");
}
