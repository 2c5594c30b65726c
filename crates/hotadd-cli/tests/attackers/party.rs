//! Attacks of a hostile party: a peer that was admitted and has registered, and is asked about processors. It
//! can refuse, and nothing else.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::common::{hotadd, stderr, stdout};
use crate::peer::{Does, Scene};
use crate::who::User;
use crate::wire::{Peer, agreement, call, refusal, talkative};
use crate::{Attempts, EVIL, is_plain, try_all};

/// A hostile party that is asked about processor 3. Returns the party, the serial of the call, and a function
/// that waits for the add.
fn asked(scene: &Scene, limit: u32) -> (Peer, u32, impl FnOnce() -> Output + use<>) {
    let mut peer = scene.peer();
    let (kind, said) = peer.register("liar", limit);
    assert_eq!(kind, 2, "{said}");
    let mut add = hotadd(&["add", "3", "-p", scene.socket().to_str().unwrap()]);
    let add = add.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let serial = peer.next(1).0;
    (peer, serial, move || add.wait_with_output().unwrap())
}

fn asks_without_end(scene: &mut Scene) -> String {
    let (mut liar, serial, end) = asked(scene, 0);
    let mut peer = scene.peer();
    let call = call("Rehearse", &9_u32);
    (0..40).for_each(|_| peer.send(&call));
    let (_, said) = peer.next(3);
    assert!(said.contains("org.hotadd.Error.Limit"), "{said}");
    liar.send(&refusal(serial, "com.example.No", "it is done"));
    assert!(stdout(&end()).contains("it is done"));
    drop(liar);
    scene.daemon.until("driver liar deregistered");
    "org.hotadd.Error.Limit, from the 17th on".to_owned()
}

/// Agrees in the place of another party, which is being asked.
fn answers_for_another(scene: &mut Scene) -> String {
    let (mut other, serial, end) = asked(scene, 0);
    let mut peer = scene.peer();
    (1..200).for_each(|serial| peer.0.write_all(&agreement(serial, &[])).unwrap());
    let (kind, said) = peer.call("GetWaiting", &());
    assert!(kind == 2 && said.contains("liar"), "the other party is still waited for: {said}");
    other.send(&refusal(serial, "com.example.No", "not by me"));
    let said = stdout(&end());
    assert!(said.contains("liar refused to add processor 3: not by me"), "{said}");
    drop(other);
    scene.daemon.until("driver liar deregistered");
    said
}

/// Checks that the add is refused with this reason if the party answers like this.
fn answers(scene: &mut Scene, says: impl FnOnce(&mut Peer, u32), refused: &str) -> String {
    let limit = if refused.contains("300 ms") { 300 } else { 0 };
    let (mut peer, serial, end) = asked(scene, limit);
    says(&mut peer, serial);
    let add = end();
    let said = stdout(&add) + &stderr(&add);
    is_plain(&said);
    assert_eq!(add.status.code(), Some(1), "{said}");
    assert!(said.contains("liar refused to add processor 3") && said.contains(refused), "{said}");
    drop(peer);
    scene.daemon.until("driver liar deregistered");
    said
}

fn hangs_up(scene: &mut Scene) -> String {
    let (peer, _, end) = asked(scene, 0);
    drop(peer);
    let said = stdout(&end());
    assert!(said.contains("liar refused to add processor 3: its connection was closed"), "{said}");
    said
}

/// A party whose name looks like a priority of a log.
fn has_the_name_of_a_priority(scene: &mut Scene) -> String {
    let mut peer = scene.peer();
    let (kind, said) = peer.register("<0>liar", 300);
    if kind == 3 {
        return said;
    }
    let add = scene.daemon.ask(&["add", "3"]);
    assert_eq!(add.status.code(), Some(1), "it did not answer: {}", stdout(&add));
    drop(peer);
    scene.daemon.until("driver <0>liar deregistered");
    stdout(&add)
}

/// Other attacks.
const DOES: [(&str, Does); 4] = [
    ("asks for 40 things while another is asked", asks_without_end),
    ("answers for another", answers_for_another),
    ("hangs up while it is asked", hangs_up),
    ("names itself as a log names priorities", has_the_name_of_a_priority),
];

/// What a party answers, and the reason for the refusal of its add.
type Answer = (&'static str, fn(&mut Peer, u32), &'static str);

const ANSWERS: [Answer; 6] = [
    ("answers with what no agreement is", |p, serial| p.send(&talkative(serial)), ""),
    (
        "answers with a signature and nothing behind it",
        |p, serial| p.0.write_all(&agreement(serial, &[8, 1, b'g', 0, 1, b'u', 0, 0])).unwrap(),
        "",
    ),
    ("does not answer when it is asked", |_, _| (), "no answer in 300 ms"),
    (
        "answers another question",
        |p, serial| p.0.write_all(&agreement(serial + 1, &[])).unwrap(),
        "no answer in 300 ms",
    ),
    (
        "refuses with a status that says that all is well",
        |p, serial| p.send(&refusal(serial, "org.hotadd.Error.Status.x00000000", "well")),
        "STATUS_UNSUCCESSFUL",
    ),
    (
        "refuses with escapes for a reason",
        |p, serial| p.send(&refusal(serial, "com.example.No", EVIL)),
        "[2J",
    ),
];

fn all(who: User) -> Attempts {
    let mut attempts = Attempts::by(format!("a party of a daemon of user {}", who.0));
    for (what, does) in DOES {
        attempts.add(what, move || {
            let mut scene = Scene { daemon: who.daemon(""), attacker: who };
            let said = does(&mut scene);
            scene.survives("");
            said
        });
    }
    for (what, says, refused) in ANSWERS {
        attempts.add(what, move || {
            let mut scene = Scene { daemon: who.daemon(""), attacker: who };
            let said = answers(&mut scene, says, refused);
            scene.survives("");
            said
        });
    }
    attempts
}

#[test]
fn a_hostile_party_can_refuse_and_nothing_else() {
    try_all(User::all().into_iter().map(all));
}
