//! A thousand agents, each with its own connection, all of which connect at once during a transaction; and a hundred adds, of which
//! some are refused and some fail. Each agent gets the notices that are due, and nothing is left behind. A separate test binary,
//! because it counts what the whole process holds.

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

/// The number of adds before memory is measured. After them it must not grow.
const WARM: u32 = 20;

/// How much the process may grow after the warm-up, in KiB. The records of the agents are included, less than
/// 1 MiB; a leak of one message per call would be over 60 MiB.
const MOST_GROWTH: usize = 4096;

/// Longer than the whole test takes. Only a failing test waits for it.
const ALL_OF_IT: Duration = Duration::from_secs(120);

/// The agent that refuses some processors. Its level is 0.
const REFUSER: u32 = 500;

/// One answer of a rehearsal.
type Answered = (u64, String, i32, bool, u32, String, u64);

/// The outcome of an add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Joins,
    /// An agent of level 0 vetoes it.
    Refused,
    /// The platform fails to start it.
    Fails,
}

fn fate(id: u32) -> Fate {
    match id % 10 {
        5 => Fate::Refused,
        7 => Fate::Fails,
        _ => Fate::Joins,
    }
}

/// Two of three agents have level 0 and are asked first.
fn level(agent: u32) -> i32 {
    i32::from(agent.is_multiple_of(3))
}

/// The notices that this agent must get about this processor.
fn due(agent: u32, id: u32) -> &'static [State] {
    use State::{AddComplete, AddFailure, AddStart};
    match fate(id) {
        Fate::Joins => &[AddStart, AddComplete],
        Fate::Fails => &[AddStart, AddFailure],
        // The level after the refusal is not asked, and the refusing agent is not told (A3).
        Fate::Refused if level(agent) > 0 => &[],
        Fate::Refused if agent == REFUSER => &[AddStart],
        Fate::Refused => &[AddStart, AddFailure],
    }
}

#[test]
fn a_thousand_agents_are_told_of_every_add_once_and_leave_nothing_behind() {
    raise_descriptors(3000);
    let served = Served::new(1, ADDS);
    served.peer().ping();
    let before = Counts::settled(Counts::now());
    for id in (1..=ADDS).filter(|id| fate(*id) == Fate::Fails) {
        served.hardware.fail_start(HardwareId(id), Errno::from_raw(5));
    }

    // While this party is asked, no other can register (R5).
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
            "agent {agent} is told of each add once: a start and one outcome (A1-A5)"
        );
    }
    let joined = (1..=ADDS).filter(|id| fate(*id) == Fate::Joins);
    let expected: Vec<_> = std::iter::once(0).chain(joined).collect();
    let active: Vec<_> = served.partition.active().iter().map(|p| p.id.0).collect();
    assert_eq!(active, expected, "exactly the agreed processors joined (A3, A4)");
    let peer = served.peer();
    let set: WireSet = peer.call("GetSet", &()).unwrap();
    let candidates: Vec<u32> = peer.call("GetCandidates", &()).unwrap();
    let seen: Vec<_> = set.2.iter().filter(|known| known.1 == 1).map(|known| known.0).collect();
    assert_eq!(seen, expected, "a client sees the same set");
    assert_eq!(candidates.len() + seen.len(), (1 + ADDS) as usize);
    let parties: Vec<(u64, String, i32, bool)> = peer.call("GetParties", &()).unwrap();
    assert_eq!(parties, [], "all have deregistered");
    assert_eq!(served.log(), Vec::<String>::new(), "no connection was refused");
    drop((peer, holder));

    let after = Counts::settled(before);
    assert!(after.is_within(before), "resources grew from {before:?} to {after:?}");
    assert!(
        grown <= MOST_GROWTH,
        "adds {WARM} to {ADDS} took {grown} KiB, with a limit of {MOST_GROWTH}"
    );
}

/// Adds a processor and checks the outcome.
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

/// Runs all agents on this thread. Returns the notices of each.
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

/// The life of one agent, up to the outcome of the last add. Returns its notices.
async fn live(agent: u32, path: Arc<PathBuf>, told: Sender<()>) -> (u32, Vec<(State, u32)>) {
    let mut line = Line::connect(&path).await.expect("there is room for every agent");
    let name = format!("agent-{agent}");
    line.register(&name, wire::LATER_ONLY, level(agent)).await.unwrap();
    line.ping().await.unwrap();
    let said = line.next_said().await;
    assert!(matches!(said, Some(Said::Done(_))), "{name} must wait, and was told {said:?}");
    told.send(()).unwrap();
    let Some(Said::Done(Some((own, _)))) = line.next_said().await else {
        panic!("{name} was not registered");
    };
    told.send(()).unwrap();
    let mut heard = Vec::with_capacity(2 * ADDS as usize);
    while heard.last() != Some(&(State::AddComplete, ADDS)) {
        let said = line.next_said().await;
        let Some(Said::Notice { serial, party, state, id, .. }) = said else {
            panic!("{name} was told {said:?}");
        };
        assert_eq!(party, own, "the call names the registered party");
        heard.push((state, id));
        if agent == REFUSER && state == State::AddStart && fate(id) == Fate::Refused {
            line.refuse(serial).await.unwrap();
        } else {
            line.agree(serial).await.unwrap();
        }
    }
    line.deregister(own).await.unwrap();
    let said = line.next_said().await;
    assert_eq!(said, Some(Said::Done(None)), "only the reply follows the last outcome");
    (agent, heard)
}
