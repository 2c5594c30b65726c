//! Two hundred clients come and go at random while processors are added: some deregister, some close, and
//! some die in the middle of an answer. Each registered client is told of every processor exactly once (R5),
//! and nothing is left behind. A separate test binary, because it counts what the whole process holds.

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use fastrand::Rng;
use hotadd::{Errno, Error, HardwareId, State};
use hotadd_wire as wire;
use tokio::task::JoinSet;
use tokio::time::timeout;

use common::Served;
use common::counts::{Counts, raise_descriptors, resident};
use common::line::{Line, Said};

const CLIENTS: u64 = 200;

/// The number of lives of each client.
const LIVES: u64 = 6;

/// More processors than all clients together wait for.
const PROCESSORS: u32 = 2000;

/// How much the process may grow between a third of the lives and all of them, in KiB. The records of the
/// clients are included.
const MOST_GROWTH: usize = 8192;

/// Longer than the whole test takes. Only a failing test waits for it.
const ALL_OF_IT: Duration = Duration::from_secs(120);

/// How a client's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Deregisters,
    /// Between two answers, as far as the client knows.
    Closes,
    /// When it is asked, without an answer.
    DiesAsked,
    /// With a part of its answer sent.
    DiesAnswering,
    /// When it is told an outcome.
    DiesTold,
    /// Before it knows whether it is registered.
    NeverListens,
}

/// The plan for one life.
#[derive(Clone, Copy, Debug)]
struct Plan {
    replay: bool,
    /// The number of outcomes that it stays for.
    stays: usize,
    end: End,
}

impl Plan {
    fn random(random: &mut Rng) -> Self {
        use End::{Closes, Deregisters, DiesAnswering, DiesAsked, DiesTold, NeverListens};
        let ends = [Deregisters, Closes, DiesAsked, DiesAnswering, DiesTold, NeverListens];
        // Most deregister or close in order, or hardly any add would succeed.
        let end = if random.u8(..3) == 0 { random.choice(ends) } else { Some(Deregisters) };
        let end = end.unwrap_or(Deregisters);
        Self { replay: random.u8(..4) == 0, stays: random.usize(..4), end }
    }
}

/// The notices of one life.
#[derive(Debug)]
struct Life {
    plan: Plan,
    heard: Vec<(State, u32)>,
}

#[test]
fn r5_a_registered_client_is_told_of_every_add_once_while_others_come_and_go() {
    let seed = std::env::var("HOTADD_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("HOTADD_SEED is a number"));
    // Printed if the test fails.
    println!("HOTADD_SEED={seed}");
    raise_descriptors(1000);
    let served = Served::new(1, PROCESSORS);
    served.peer().ping();
    let before = Counts::settled(Counts::now());
    for id in (1..=PROCESSORS).filter(|id| id % 4 == 1) {
        served.hardware.fail_start(HardwareId(id), Errno::from_raw(5));
    }

    let (wishes, wished) = channel();
    let path = served.path.clone();
    let clients = std::thread::spawn(move || crowd(seed, &path, &wishes));
    // Whether each processor joined, from 1 on.
    let mut joined = Vec::new();
    let (mut lives, mut warm) = (0, None);
    while let Ok(wish) = wished.recv_timeout(ALL_OF_IT) {
        let all = std::iter::once(wish).chain(wished.try_iter());
        let (over, more): (Vec<_>, Vec<_>) = all.partition(|wish| *wish == Wish::Over);
        lives += over.len() as u64;
        if lives >= CLIENTS * LIVES / 3 {
            warm.get_or_insert_with(resident);
        }
        if more.is_empty() {
            continue;
        }
        let id = u32::try_from(joined.len()).unwrap() + 1;
        assert!(id <= PROCESSORS, "{lives} lives of {} in {PROCESSORS} adds", CLIENTS * LIVES);
        match served.partition.add(HardwareId(id)) {
            Ok(_) => joined.push(true),
            Err(Error::Vetoed { .. } | Error::Platform { .. }) => joined.push(false),
            Err(other) => panic!("processor {id}: {other}"),
        }
        served.drop_events();
    }
    let lives = clients.join().expect("every client leads its lives to their ends");
    let grown = resident().saturating_sub(warm.expect("a third of the lives"));

    assert_eq!(lives.len() as u64, CLIENTS * LIVES);
    lives.iter().for_each(|life| check(life, &joined));
    let expected: Vec<_> = active(&joined).collect();
    let now: Vec<_> = served.partition.active().iter().map(|p| p.id.0).collect();
    assert_eq!(now, expected, "the active processors are those whose add succeeded, in that order");
    assert!(joined.iter().filter(|joined| **joined).count() > 0, "of {} none", joined.len());

    let after = Counts::settled(before);
    assert!(after.is_within(before), "resources grew from {before:?} to {after:?}");
    assert!(grown <= MOST_GROWTH, "{grown} KiB of growth, with a limit of {MOST_GROWTH}");
    // All clients have left, so the next add is refused by none.
    let peer = served.peer();
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert_eq!(parties, [], "all parties are deregistered, including those that died (L3)");
    served.partition.add(HardwareId(PROCESSORS)).expect("no party is left to refuse");
}

/// The active processors, in the order in which they joined.
fn active(joined: &[bool]) -> impl Iterator<Item = u32> {
    let ids = (1..).zip(joined).filter(|(_, joined)| **joined).map(|(id, _)| id);
    std::iter::once(0).chain(ids)
}

/// Checks the notices of a life against the contract.
fn check(life: &Life, joined: &[bool]) {
    use State::{AddComplete, AddFailure, AddStart};
    let asked = life.heard.iter().take_while(|(state, _)| *state == AddStart).count();
    let later = if life.plan.replay {
        // The replay first: AddStart for each active processor, then AddComplete for each, ascending (R3).
        let (replay, later) = life.heard.split_at(life.heard.len().min(2 * asked));
        let all: Vec<_> = active(joined).take(asked).collect();
        let due =
            all.iter().map(|id| (AddStart, *id)).chain(all.iter().map(|id| (AddComplete, *id)));
        let due: Vec<_> = due.take(replay.len()).collect();
        assert_eq!(replay, due, "the replay of {life:?}");
        if let Some((_, first)) = later.first() {
            let there = active(joined).take_while(|id| id < first).count();
            assert_eq!(
                asked, there,
                "every processor is replayed or asked about, none twice (R5): {life:?}"
            );
        }
        later
    } else {
        &life.heard
    };
    let Some((_, first)) = later.first() else { return };
    let due = (*first..).zip(&joined[*first as usize - 1..]).flat_map(|(id, joined)| {
        let outcome = if *joined { AddComplete } else { AddFailure };
        [(AddStart, id), (outcome, id)]
    });
    let due: Vec<_> = due.take(later.len()).collect();
    assert_eq!(later, due, "each add once, with its start and its outcome: {life:?}");
    if let (End::DiesAsked | End::DiesAnswering, Some((AddStart, id))) =
        (life.plan.end, later.last())
    {
        assert!(
            !joined[*id as usize - 1],
            "a client that dies when asked about {id} vetoes it (L3)"
        );
    }
}

/// A message of a client to the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// It is registered and waits for an add.
    Add,
    /// A life is over.
    Over,
}

/// Runs all clients on this thread. Returns all lives.
fn crowd(seed: u64, path: &Path, wishes: &Sender<Wish>) -> Vec<Life> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path: Arc<PathBuf> = Arc::new(path.to_owned());
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (path, wishes) = (Arc::clone(&path), wishes.clone());
            let mut random = Rng::with_seed(seed.wrapping_add(client));
            clients.spawn(async move {
                let mut lives = Vec::new();
                for _ in 0..LIVES {
                    let plan = Plan::random(&mut random);
                    let heard = live(plan, &path, &wishes).await;
                    lives.push(Life { plan, heard });
                    let _ = wishes.send(Wish::Over);
                }
                lives
            });
        }
        let mut lives = Vec::new();
        while let Some(one) = timeout(ALL_OF_IT, clients.join_next()).await.expect("they end") {
            lives.extend(one.expect("it is well"));
        }
        lives
    })
}

/// One connection from begin to end. Returns its notices.
async fn live(plan: Plan, path: &Path, wishes: &Sender<Wish>) -> Vec<(State, u32)> {
    let mut line = Line::connect(path).await.expect("there is room for every client");
    let flags = if plan.replay { 0 } else { wire::LATER_ONLY };
    line.register("client", flags, 0).await.unwrap();
    let mut heard = Vec::new();
    if plan.end == End::NeverListens {
        return heard;
    }
    let (mut own, mut outcomes) = (None, 0);
    loop {
        if let Some(party) = own
            && outcomes >= plan.stays
            && matches!(plan.end, End::Deregisters | End::Closes)
        {
            if plan.end == End::Deregisters {
                leave(&mut line, party, &mut heard).await;
            }
            return heard;
        }
        let said = line.next_said().await.expect("a correct client is not disconnected");
        let (serial, state, id) = match said {
            Said::Done(answer) => {
                own = Some(answer.expect("a party and an epoch").0);
                let _ = wishes.send(Wish::Add);
                continue;
            }
            Said::Notice { serial, state, id, .. } => (serial, state, id),
            other => panic!("{other:?} instead of a notice"),
        };
        heard.push((state, id));
        let ready = own.is_some() && outcomes >= plan.stays;
        // Clients die at some processors only, or hardly any add would succeed.
        match (plan.end, state) {
            (End::DiesAsked, State::AddStart) if ready && id % 4 == 2 => return heard,
            (End::DiesAnswering, State::AddStart) if ready && id % 4 == 2 => {
                line.agree_halfway(serial).await.unwrap();
                return heard;
            }
            (End::DiesTold, State::AddComplete | State::AddFailure) if ready => return heard,
            _ => line.agree(serial).await.unwrap(),
        }
        if own.is_some() && state != State::AddStart {
            outcomes += 1;
            let _ = wishes.send(Wish::Add);
        }
    }
}

/// Deregisters, maybe in the middle of an add. Notices sent before the reply are recorded; none may follow it (D1).
async fn leave(line: &mut Line, party: u64, heard: &mut Vec<(State, u32)>) {
    line.deregister(party).await.unwrap();
    loop {
        match line.next_said().await.expect("a correct client is not disconnected") {
            Said::Notice { serial, state, id, .. } => {
                heard.push((state, id));
                line.agree(serial).await.unwrap();
            }
            Said::Done(None) => break,
            other => panic!("{other:?} instead of a reply"),
        }
    }
    line.ping().await.unwrap();
    let said = line.next_said().await;
    assert!(matches!(said, Some(Said::Done(_))), "no notice follows the reply (D1): {said:?}");
}
