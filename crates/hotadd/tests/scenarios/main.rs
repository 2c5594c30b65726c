#![cfg(not(hotadd_loom))]
//! One table of scenarios, run over every kind of partition that this machine can give.
//!
//! A scenario speaks of processors as 0, 1, 2 ... in the order in which they become known; a [`Stage`] says what the
//! hardware calls them. To run the table over another kind of partition, write a function like [`simulated`] that builds a
//! stage, and hand it to [`run_all`] in a test with what it can stage. The other scenarios are named and not played.

mod act;
mod process;
mod scenario;
mod table;

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
use hotadd_testing::Need;

use act::Play;
use scenario::Scenario;
use table::SCENARIOS;

/// A partition in which a scenario can be played.
struct Stage {
    partition: Partition,
    /// What the hardware calls processor 0, 1, 2 ...: first those that are active, then the spare ones.
    ids: Vec<HardwareId>,
    /// The hardware that takes faults on demand, where there is one.
    faults: Option<std::sync::Arc<Simulated>>,
    /// A process in the partition, where there can be one.
    witness: Option<process::Witness>,
}

/// What a kind of partition can stage.
struct Means {
    /// How many processors it has at most.
    processors: u32,
    /// Whether it takes faults on demand.
    faults: bool,
}

/// Plays every scenario for which the means suffice, each on a stage of its own.
fn run_all(kind: &str, means: &Means, stage: impl Fn(&Scenario) -> Stage) {
    let mut failures = Vec::new();
    let mut played = 0;
    for scenario in SCENARIOS {
        if let Err(why) = scenario.needs(means.processors, means.faults) {
            println!("not played on {kind} partition: {}: {why}", scenario.name);
            continue;
        }
        played += 1;
        let journal = Play::new(stage(scenario), scenario).run();
        if journal != scenario.journal {
            failures.push(difference(scenario, &journal));
        }
    }
    println!("{played} of {} scenarios played on {kind} partition", SCENARIOS.len());
    assert!(failures.is_empty(), "on {kind} partition:\n{}", failures.join("\n"));
    assert!(played > 0, "no scenario fits {kind} partition of {} processors", means.processors);
}

fn difference(scenario: &Scenario, journal: &[String]) -> String {
    let mut text = format!("scenario {:?} went otherwise:\n", scenario.name);
    for at in 0..journal.len().max(scenario.journal.len()) {
        let happened = journal.get(at).map_or("(nothing)", String::as_str);
        let expected = scenario.journal.get(at).copied().unwrap_or("(nothing)");
        let mark = if happened == expected { "    " } else { "  ! " };
        text += &format!("{mark}{happened:<44} expected: {expected}\n");
    }
    text
}

/// A simulation can stage every scenario.
const EVERYTHING: Means = Means { processors: u32::MAX, faults: true };

/// A simulation in which processor n is called `name(n)`.
fn simulated(scenario: &Scenario, name: impl Fn(u32) -> u32 + Copy) -> Stage {
    let ids = |from, to| (from..to).map(move |n| HardwareId(name(n)));
    let all = scenario.active + scenario.spare;
    let hardware = Simulated::with_ids(ids(0, scenario.active), ids(scenario.active, all)).unwrap();
    let partition = Partition::simulated(&hardware).unwrap();
    Stage { partition, ids: ids(0, all).collect(), faults: Some(hardware), witness: None }
}

#[test]
fn the_scenarios_hold_on_a_simulated_partition() {
    run_all("simulated", &EVERYTHING, |scenario| simulated(scenario, |n| n));
}

#[test]
fn the_scenarios_hold_whatever_the_processors_are_called() {
    run_all("sparse simulated", &EVERYTHING, |scenario| simulated(scenario, |n| 7 + 100 * n));
}

#[test]
fn the_scenarios_hold_on_a_process_partition_with_real_processors() {
    if !Need::TwoProcessors.is_met("scenarios on real processors") {
        return;
    }
    run_all("process", &Means { processors: process::allowed(), faults: false }, process::stage);
}

#[test]
fn a_scenario_says_by_itself_what_it_needs() {
    for scenario in SCENARIOS {
        let all = scenario.active + scenario.spare;
        let short = scenario.needs(all - 1, true).expect_err(scenario.name);
        assert_eq!(short, format!("needs {all} processors, {} allowed", all - 1));
        assert_eq!(scenario.needs(all, true), Ok(()), "{}", scenario.name);
        assert_eq!(scenario.needs(all, false).is_err(), scenario.has_faults(), "{}", scenario.name);
    }
}
