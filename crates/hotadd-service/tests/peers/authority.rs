//! Access on a bus to a machine's partition: the rules without polkit, and what happens to requests while
//! polkit is asked. The polkit here is an imitation whose answers the test chooses; `installed.rs` uses the
//! real one.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use hotadd::{EventKind, HardwareId, State};
use hotadd_service::{Access, BusAddress};
use hotadd_testing::Need;
use hotadd_wire::{self as wire, WireProcessor};
use zbus::Message;
use zbus::message::{Flags, Type};
use zbus::zvariant::OwnedValue;

use crate::common::daemon::Daemon;
use crate::common::{Peer, Served, User, WireFailure};

/// The group of the partition.
const GROUP: u32 = 61_234;

/// A user who is not in the group, and one who is. The bus knows only users with a name: nobody and daemon.
const STRANGER: User = User { uid: 65_534, gid: 65_534 };
const MEMBER: User = User { uid: 1, gid: GROUP };

const DENIED: &str = "org.freedesktop.DBus.Error.AccessDenied";

/// The result of Add.
type Changed = (WireProcessor, u64);

/// A bus, and a machine's partition on it.
struct OnBus {
    served: Served,
    daemon: Daemon,
    _folder: tempfile::TempDir,
}

impl OnBus {
    /// `None` if it cannot be tried, which a line reports.
    fn new() -> Option<Self> {
        if !Need::Root.is_met("who may do what on a bus") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        let daemon = Daemon::start(folder.path());
        let served = Served::for_those(Access::machine(&GROUP.to_string()).unwrap(), 1, 3);
        let address: BusAddress = daemon.address.parse().unwrap();
        served.service().join_bus(&address).unwrap();
        Some(Self { served, daemon, _folder: folder })
    }

    fn peer(&self, user: User) -> Peer {
        Peer::on_bus_as(&self.daemon.socket, user)
    }

    fn polkit(&self) -> Imitation {
        let peer = Peer::on_bus(&self.daemon.address);
        let name = peer.connection.request_name("org.freedesktop.PolicyKit1");
        peer.runtime.block_on(name).unwrap();
        Imitation { peer }
    }
}

/// An imitation of polkit.
struct Imitation {
    peer: Peer,
}

/// A question to polkit.
struct Asked {
    call: Message,
    subject: String,
    action: String,
    interactive: bool,
    id: String,
}

impl Imitation {
    fn asked(&self) -> Asked {
        type Question =
            ((String, HashMap<String, OwnedValue>), String, HashMap<String, String>, u32, String);
        let call = self.peer.called();
        assert_eq!(call.header().member().unwrap().as_str(), "CheckAuthorization");
        let ((kind, mut subject), action, details, flags, id) =
            call.body().deserialize::<Question>().unwrap();
        assert_eq!((kind.as_str(), details.len()), ("system-bus-name", 0));
        let subject = subject.remove("name").unwrap().try_into().unwrap();
        Asked { call, subject, action, interactive: flags == 1, id }
    }

    /// Answers whether the action is allowed, and whether a password could allow it.
    fn says(&self, asked: &Asked, authorized: bool, challenge: bool) {
        let answer = Message::method_return(&asked.call.header()).unwrap();
        let details = HashMap::<String, String>::new();
        self.peer.send(&answer.build(&((authorized, challenge, details),)).unwrap());
    }
}

fn add(peer: &Peer, id: u32) -> Result<Changed, WireFailure> {
    peer.call("Add", &id)
}

/// The error and the message of a refused request.
fn refusal(peer: &Peer) -> (String, String) {
    let failure = peer.end::<Changed>().expect_err("it was done");
    (failure.name, failure.message)
}

#[test]
fn without_polkit_every_user_may_read_and_root_and_the_group_may_change() {
    let Some(bus) = OnBus::new() else { return };
    let stranger = bus.peer(STRANGER);
    stranger.call::<_, wire::WireSet>("GetSet", &()).expect("every user may read");
    stranger.call::<_, Vec<u32>>("GetCandidates", &()).expect("every user may read");
    stranger.call::<_, Vec<String>>("GetHistory", &5_u32).expect("at the past, too");
    stranger.begin("GetAbsent", &0_u32);
    assert_eq!(stranger.answer().message_type(), Type::MethodReturn, "absences may be read");
    stranger.begin("GetMissing", &());
    assert_eq!(
        stranger.answer().message_type(),
        Type::MethodReturn,
        "missing parties may be read (L4)"
    );
    let right = "change";
    for method in ["Add", "Remove", "Rehearse", "RehearseRemoval", "AddBatch", "RestartParty"] {
        match method {
            "AddBatch" => stranger.begin(method, &(vec![1_u32], false)),
            "RestartParty" => stranger.begin(method, &"ready"),
            _ => stranger.begin(method, &1_u32),
        }
        let (name, text) = refusal(&stranger);
        assert_eq!(name, DENIED, "{method}");
        assert!(text.contains(&format!("(org.hotadd.{right})")), "{method}: {text}");
        assert!(text.contains(&format!("root and members of the group {GROUP}")), "{text}");
    }
    stranger.begin_register("pool", 0, 0, 0);
    let (name, text) = refusal(&stranger);
    assert!(name == DENIED && text.contains("(org.hotadd.register)"), "{name}: {text}");
    bus.served.logged("of user 65534: refused, because to change the partition");
    assert_eq!(bus.served.partition.count(), 1, "no request of the stranger was carried out");

    let member = bus.peer(MEMBER);
    let party = member.register("pool", wire::LATER_ONLY, 0, 0);
    member.begin("Add", &1_u32);
    member.agrees_to(State::AddStart, party);
    member.agrees_to(State::AddComplete, party);
    member.end::<Changed>().expect("the group may");
    stranger.signal("Joined");
    member.call::<_, ()>("Deregister", &party).unwrap();
    let root = bus.peer(User { uid: 0, gid: 0 });
    add(&root, 2).expect("root may add");
}

#[test]
fn polkit_decides_for_every_user_but_root() {
    let Some(bus) = OnBus::new() else { return };
    let polkit = bus.polkit();
    let stranger = bus.peer(STRANGER);
    stranger.begin("Add", &1_u32);
    let asked = polkit.asked();
    let name = stranger.connection.unique_name().unwrap().to_string();
    assert_eq!((asked.subject, asked.action.as_str()), (name, "org.hotadd.change"));
    assert!(!asked.interactive, "the call does not allow interaction");
    // The service does not block meanwhile: other clients are served.
    add(&bus.peer(User { uid: 0, gid: 0 }), 2).expect("root is not asked about");
    stranger.call::<_, Vec<(u64, String, i32, bool)>>("GetParties", &()).expect("to look is free");
    polkit.says(&Asked { subject: String::new(), ..asked }, true, false);
    stranger.end::<Changed>().expect("polkit allows it");

    let member = bus.peer(MEMBER);
    member.begin_register("pool", 0, 0, 0);
    let asked = polkit.asked();
    assert_eq!(
        asked.action, "org.hotadd.register",
        "members of the group too, because polkit decides"
    );
    polkit.says(&asked, false, false);
    let (name, text) = refusal(&member);
    assert_eq!(name, DENIED);
    assert!(text.contains("process") && text.contains("of user 1"), "{text}");
    assert!(text.contains("pkaction --verbose --action-id org.hotadd.register"), "{text}");
    bus.served.logged("of user 1: refused, because polkit does not allow");
}

#[test]
fn a_password_is_asked_for_only_if_the_call_allows_interaction() {
    let Some(bus) = OnBus::new() else { return };
    let (polkit, stranger) = (bus.polkit(), bus.peer(STRANGER));
    stranger.begin("Add", &1_u32);
    polkit.says(&polkit.asked(), false, true);
    let (name, text) = refusal(&stranger);
    assert_eq!(name, "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
    assert!(text.contains("ALLOW_INTERACTIVE_AUTHORIZATION"), "{text}");

    stranger.begin_interactively("Add", &1_u32);
    let asked = polkit.asked();
    assert!(asked.interactive);
    polkit.says(&asked, false, true);
    assert_eq!(refusal(&stranger).0, DENIED, "no password was given");
    stranger.begin_interactively("Add", &1_u32);
    polkit.says(&polkit.asked(), true, false);
    stranger.end::<Changed>().expect("permitted after a password");
}

#[test]
fn a_request_without_a_clear_permission_is_refused() {
    let Some(bus) = OnBus::new() else { return };
    let (polkit, stranger) = (bus.polkit(), bus.peer(STRANGER));
    let refused = |because: &str| {
        let (name, text) = refusal(&stranger);
        assert!(name == DENIED && text.contains(because), "{name}: {text}");
    };
    stranger.begin("Add", &1_u32);
    let asked = polkit.asked();
    let nonsense = Message::method_return(&asked.call.header()).unwrap();
    polkit.peer.send(&nonsense.build(&"yes").unwrap());
    refused("its answer is invalid");

    stranger.begin("Add", &1_u32);
    let asked = polkit.asked();
    polkit.peer.refuse(&asked.call, "org.freedesktop.PolicyKit1.Error.Failed", "not registered");
    refused("not registered; check that polkit runs and that org.hotadd.policy is installed");

    // Another peer answers in polkit's place.
    stranger.begin("Add", &1_u32);
    let asked = polkit.asked();
    let service = asked.call.header().sender().unwrap().to_owned();
    let forged = Message::method_return(&asked.call.header()).unwrap();
    let forged = forged.destination(service).unwrap();
    let forger = bus.peer(STRANGER);
    let yes = (true, false, HashMap::<String, String>::new());
    forger.send(&forged.build(&(yes,)).unwrap());
    forger.ping();
    polkit.says(&asked, false, false);
    refused("polkit does not allow");

    // polkit leaves the bus while it is asked, and comes back with another unique name.
    stranger.begin("Add", &1_u32);
    polkit.asked();
    polkit.peer.hang_up();
    refused("polkit could not decide");
    let polkit = bus.polkit();
    stranger.begin("Add", &1_u32);
    polkit.says(&polkit.asked(), true, false);
    stranger.end::<Changed>().expect("the new one is asked");
}

#[test]
fn a_request_is_refused_if_polkit_does_not_answer_in_time() {
    let Some(bus) = OnBus::new() else { return };
    let (polkit, stranger) = (bus.polkit(), bus.peer(STRANGER));
    stranger.begin("Add", &1_u32);
    let asked = polkit.asked();
    let (name, text) = refusal(&stranger);
    assert!(name == DENIED && text.contains("it did not answer in time"), "{name}: {text}");
    let cancel = polkit.peer.called();
    assert_eq!(cancel.header().member().unwrap().as_str(), "CancelCheckAuthorization");
    assert!(cancel.primary_header().flags().contains(Flags::NoReplyExpected));
    assert_eq!(cancel.body().deserialize::<String>().unwrap(), asked.id);
    // This answer comes too late; the request stays refused.
    polkit.says(&asked, true, false);
    stranger.ping();
    assert_eq!(bus.served.partition.count(), 1);
}

#[test]
fn a_request_of_a_peer_that_has_left_is_not_carried_out() {
    let Some(bus) = OnBus::new() else { return };
    let (polkit, stranger) = (bus.polkit(), bus.peer(STRANGER));
    stranger.begin_interactively("Add", &1_u32);
    let asked = polkit.asked();
    stranger.hang_up();
    let cancel = polkit.peer.called();
    assert_eq!(
        cancel.body().deserialize::<String>().unwrap(),
        asked.id,
        "the question to polkit is cancelled"
    );
    polkit.says(&asked, true, false);
    // A later request over the same connection to the bus.
    let other = bus.peer(STRANGER);
    other.begin("Rehearse", &1_u32);
    polkit.says(&polkit.asked(), false, false);
    refusal(&other);
    assert_eq!(bus.served.partition.count(), 1);
}

#[test]
fn one_user_cannot_use_up_the_requests_that_may_wait_for_polkit() {
    let Some(bus) = OnBus::new() else { return };
    let polkit = bus.polkit();
    let (stranger, second) = (bus.peer(STRANGER), bus.peer(STRANGER));
    let mut open = Vec::new();
    for _ in 0..8 {
        stranger.begin("Rehearse", &1_u32);
        open.push(polkit.asked());
    }
    second.begin("Rehearse", &1_u32);
    let failure = second.end::<Changed>().unwrap_err();
    assert_eq!(failure.name, "org.hotadd.Error.Limit", "another connection of the same user");
    assert!(failure.message.contains("waiting for polkit"), "{}", failure.message);
    let member = bus.peer(MEMBER);
    member.begin("Add", &1_u32);
    polkit.says(&polkit.asked(), true, false);
    member.end::<Changed>().expect("another user is not kept from it");
}

#[test]
fn one_user_with_read_access_cannot_use_up_the_connections() {
    let Some(bus) = OnBus::new() else { return };
    let look = |peer: &Peer| peer.call::<_, Vec<(u64, String, i32, bool)>>("GetParties", &());
    let mut peers: Vec<_> = (0..64).map(|_| bus.peer(STRANGER)).collect();
    for peer in &peers {
        look(peer).expect("this many connections are served");
    }
    let one_more = bus.peer(STRANGER);
    let failure = look(&one_more).expect_err("beyond the limit");
    assert!(
        failure.name == DENIED && failure.message.contains("there are too many connections"),
        "{failure:?}"
    );
    look(&bus.peer(MEMBER)).expect("others are served");
    let gone = peers.pop().unwrap();
    let name = gone.connection.unique_name().unwrap().to_string();
    gone.hang_up();
    // When the bus tells this peer, it has told the partition too.
    while one_more.has_owner(&name) {}
    look(&bus.peer(STRANGER)).expect("there is room again");
}

#[test]
fn a_denied_request_does_not_disturb_a_change_under_way() {
    let Some(bus) = OnBus::new() else { return };
    let member = bus.peer(MEMBER);
    // The answer waits for 200 requests of another peer, whatever else the machine does.
    let party = member.register("pool", wire::LATER_ONLY, 0, 60_000);
    let partition = bus.served.adder();
    let adding = std::thread::spawn(move || partition.add(HardwareId(1)));
    let asked = member.asked();
    let stranger = bus.peer(STRANGER);
    for _ in 0..200 {
        stranger.begin("Remove", &0_u32);
        assert_eq!(refusal(&stranger).0, DENIED, "while a party is asked about another add");
    }
    member.agree(&asked.call);
    member.agrees_to(State::AddComplete, party);
    adding.join().unwrap().unwrap();
    bus.served.wait(|event| event.kind == EventKind::Joined);
    let refusals = bus.served.log().iter().filter(|line| line.contains("refused")).count();
    assert!((1..=20).contains(&refusals), "{refusals} of 200 refusals were logged");
}
