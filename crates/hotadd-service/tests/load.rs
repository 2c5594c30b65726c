//! A thousand agents, each with a connection of its own, all of which come at once and in the middle of something; and a
//! hundred adds, of which some are refused and some fail. Everybody hears what is due, and nothing is left behind. By itself, because it counts what the whole
//! process has.

mod common;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use hotadd::{Errno, Error, HardwareId, Partition, State};
use hotadd_wire::{self as wire, WireProcessor, WireSet};
use tokio::task::JoinSet;
use tokio::time::timeout;

use common::Served;
use common::counts::{Counts, raise_descriptors, resident};
use common::line::{Line, Said};

const AGENTS: u32 = 1000;
const ADDS: u32 = 100;

/// How many adds warm it up: from here on memory is not to grow.
const WARM: u32 = 20;

/// How much the process may grow behind the warm-up, in KiB. What the agents write down is in it, less than 1 MiB; a leak of
/// one notice's message for each call would be over 60 MiB.
const MOST_GROWTH: usize = 4096;

/// Longer than all of it takes. Only a test that fails waits for it.
const ALL_OF_IT: Duration = Duration::from_secs(120);

/// The agent that refuses some processors; its level is 0.
const REFUSER: u32 = 500;

/// One answer of a rehearsal.
type Answered = (u64, String, i32, bool, u32, String, u64);

/// What becomes of an add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Joins,
    /// One agent of level 0 vetoes it.
    Refused,
    /// The platform fails.
    Fails,
}

fn fate(id: u32) -> Fate {
    match id % 10 {
        5 => Fate::Refused,
        7 => Fate::Fails,
        _ => Fate::Joins,
    }
}

/// Of every agent two of three agree first.
fn level(agent: u32) -> i32 {
    i32::from(agent.is_multiple_of(3))
}

/// What the contract says that this agent hears of this processor.
fn due(agent: u32, id: u32) -> &'static [State] {
    use State::{AddComplete, AddFailure, AddStart};
    match fate(id) {
        Fate::Joins => &[AddStart, AddComplete],
        Fate::Fails => &[AddStart, AddFailure],
        // The level behind the refusal is not asked, and who refused cleans up by itself (A3).
        Fate::Refused if level(agent) > 0 => &[],
        Fate::Refused if agent == REFUSER => &[AddStart],
        Fate::Refused => &[AddStart, AddFailure],
    }
}

#[test]
fn a_thousand_agents_hear_every_add_once_and_leave_nothing_behind() {
    raise_descriptors(3000);
    let served = Served::new(1, ADDS);
    served.peer().ping();
    let before = Counts::settled(Counts::now());
    for id in (1..=ADDS).filter(|id| fate(*id) == Fate::Fails) {
        served.hardware.fail_start(HardwareId(id), Errno::from_raw(5));
    }

    // As long as it is being asked, nobody can register (R5).
    let holder = served.peer();
    let party = holder.register("holder", wire::LATER_ONLY, 0, 60_000);
    holder.begin("Rehearse", &1_u32);
    let held = holder.asked();

    let (told, registered) = channel();
    let path = served.path.clone();
    let agents = std::thread::spawn(move || crowd(&path, &told));
    for _ in 0..AGENTS {
        registered.recv_timeout(ALL_OF_IT).expect("every agent may wait, all at once");
    }
    holder.agree(&held.call);
    holder.agrees_to(State::AddFailure, party);
    holder.end::<(WireProcessor, Vec<Answered>)>().expect("the rehearsal is over");
    holder.call::<_, ()>("Deregister", &party).expect("it is registered");
    for _ in 0..AGENTS {
        registered.recv_timeout(ALL_OF_IT).expect("every agent registers");
    }

    let mut warm = 0;
    for id in 1..=ADDS {
        add(&served.partition, id);
        served.drop_events();
        if id == WARM {
            warm = resident();
        }
    }
    let grown = resident().saturating_sub(warm);
    let heard = agents.join().expect("every agent hears the last outcome and leaves");

    for (agent, heard) in (0..).zip(heard) {
        let due = (1..=ADDS).flat_map(|id| due(agent, id).iter().map(move |state| (*state, id)));
        let due: Vec<_> = due.collect();
        assert_eq!(
            heard, due,
            "agent {agent} hears each add once: a start and one outcome (A1-A5)"
        );
    }
    let joined = (1..=ADDS).filter(|id| fate(*id) == Fate::Joins);
    let expected: Vec<_> = std::iter::once(0).chain(joined).collect();
    let active: Vec<_> = served.partition.active().iter().map(|p| p.id.0).collect();
    assert_eq!(active, expected, "exactly those joined that everybody agreed to (A3, A4)");
    let peer = served.peer();
    let set: WireSet = peer.call("GetSet", &()).unwrap();
    let candidates: Vec<u32> = peer.call("GetCandidates", &()).unwrap();
    let seen: Vec<_> = set.2.iter().filter(|known| known.1 == 1).map(|known| known.0).collect();
    assert_eq!(seen, expected, "who asks over the wire sees the same set");
    assert_eq!(candidates.len() + seen.len(), (1 + ADDS) as usize);
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert_eq!(parties, [], "all have deregistered");
    assert_eq!(served.log(), Vec::<String>::new(), "nobody was turned away");
    drop((peer, holder));

    let after = Counts::settled(before);
    assert!(after.is_within(before), "left behind: {before:?} became {after:?}");
    assert!(
        grown <= MOST_GROWTH,
        "adds {WARM} to {ADDS} took {grown} KiB, and {MOST_GROWTH} are the most"
    );
}

/// Adds a processor, and sees that it comes to what it is to come to.
fn add(partition: &Partition, id: u32) {
    let result = partition.add(HardwareId(id));
    match (fate(id), result) {
        (Fate::Joins, Ok(change)) => assert_eq!(change.processor.id, HardwareId(id)),
        (Fate::Refused, Err(Error::Vetoed { party, .. })) => {
            assert_eq!(party.name, format!("agent-{REFUSER}"));
        }
        (Fate::Fails, Err(Error::Platform { .. })) => {}
        (_, result) => panic!("processor {id}: {result:?}"),
    }
}

/// All agents on this thread. Returns what each heard.
fn crowd(path: &std::path::Path, told: &Sender<()>) -> Vec<Vec<(State, u32)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let path: Arc<PathBuf> = Arc::new(path.to_owned());
        let mut agents = JoinSet::new();
        for agent in 0..AGENTS {
            agents.spawn(live(agent, Arc::clone(&path), told.clone()));
        }
        let mut heard = vec![Vec::new(); AGENTS as usize];
        while let Some(one) = timeout(ALL_OF_IT, agents.join_next()).await.expect("they end") {
            let (agent, what) = one.expect("it is well");
            heard[agent as usize] = what;
        }
        heard
    })
}

/// The life of one agent: until it has heard how the last add came out. Returns what it heard.
async fn live(agent: u32, path: Arc<PathBuf>, told: Sender<()>) -> (u32, Vec<(State, u32)>) {
    let mut line = Line::connect(&path).await.expect("there is room for everybody");
    let name = format!("agent-{agent}");
    line.register(&name, wire::LATER_ONLY, level(agent)).await.unwrap();
    line.ping().await.unwrap();
    let said = line.next_said().await;
    assert!(matches!(said, Some(Said::Done(_))), "{name} has to wait, and was told {said:?}");
    told.send(()).unwrap();
    let Some(Said::Done(Some((own, _)))) = line.next_said().await else {
        panic!("{name} was not registered");
    };
    told.send(()).unwrap();
    let mut heard = Vec::with_capacity(2 * ADDS as usize);
    while heard.last() != Some(&(State::AddComplete, ADDS)) {
        let said = line.next_said().await;
        let Some(Said::Notice { serial, party, state, id, .. }) = said else {
            panic!("{name} heard {said:?}");
        };
        assert_eq!(party, own, "who is called is who registered");
        heard.push((state, id));
        if agent == REFUSER && state == State::AddStart && fate(id) == Fate::Refused {
            line.refuse(serial).await.unwrap();
        } else {
            line.agree(serial).await.unwrap();
        }
    }
    line.deregister(own).await.unwrap();
    let said = line.next_said().await;
    assert_eq!(said, Some(Said::Done(None)), "nothing comes behind the last outcome but the reply");
    (agent, heard)
}
