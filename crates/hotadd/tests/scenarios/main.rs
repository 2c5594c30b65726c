#![cfg(not(loom))]
//! One table of scenarios, run over every kind of partition that this machine can give.
//!
//! A scenario speaks of processors as 0, 1, 2 ... in the order in which they become known; a [`Stage`] says what the
//! hardware calls them. To run the table over another kind of partition, write a function like [`simulated`] that builds a
//! stage or says why it cannot, and hand it to [`run_all`] in a test: what it cannot stage is skipped by name.

mod act;
mod process;
mod scenario;
mod table;

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};

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

/// Plays every scenario on a stage of its own. `stage` builds one, or says why it cannot.
fn run_all(kind: &str, stage: impl Fn(&Scenario) -> Result<Stage, String>) {
    let mut failures = Vec::new();
    let mut played = 0;
    for scenario in SCENARIOS {
        match stage(scenario) {
            Ok(stage) => {
                played += 1;
                let journal = Play::new(stage, scenario).run();
                if journal != scenario.journal {
                    failures.push(difference(scenario, &journal));
                }
            }
            Err(why) => println!("skipped on {kind} partition: {}: {why}", scenario.name),
        }
    }
    println!("{played} of {} scenarios played on {kind} partition", SCENARIOS.len());
    assert!(failures.is_empty(), "on {kind} partition:\n{}", failures.join("\n"));
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

/// A simulation in which processor n is called `name(n)`.
fn simulated(scenario: &Scenario, name: impl Fn(u32) -> u32 + Copy) -> Result<Stage, String> {
    let ids = |from, to| (from..to).map(move |n| HardwareId(name(n)));
    let all = scenario.active + scenario.spare;
    let hardware = Simulated::with_ids(ids(0, scenario.active), ids(scenario.active, all))
        .map_err(|why| why.to_string())?;
    let partition = Partition::simulated(&hardware).map_err(|why| why.to_string())?;
    Ok(Stage { partition, ids: ids(0, all).collect(), faults: Some(hardware), witness: None })
}

#[test]
fn the_scenarios_hold_on_a_simulated_partition() {
    run_all("simulated", |scenario| simulated(scenario, |n| n));
}

#[test]
fn the_scenarios_hold_whatever_the_processors_are_called() {
    run_all("sparse simulated", |scenario| simulated(scenario, |n| 7 + 100 * n));
}

#[test]
fn the_scenarios_hold_on_a_process_partition_with_real_processors() {
    run_all("process", process::stage);
}

#[test]
fn what_cannot_be_staged_is_skipped_and_not_failed() {
    run_all("absent", |scenario| {
        scenario.needs(1, false).and(Err("there is no such hardware".to_owned()))
    });
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
