//! A transaction over boards, checked in every order of its steps: a partition asks three agents and starts the processor only if all
//! agree. Agents die at any step, answer late, refuse over the socket, or write anything on their boards.
//!
//! The check is exhaustive within its bounds. It also fails if an expected event never happens, because then it proves nothing. The
//! order of loads and stores within a step is checked by `tests/loom`.
#![cfg(not(hotadd_loom))]

mod model;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use model::{CONSENT, Consent, ENDS, Kind, REFUSAL, Rules};

/// Checks all properties, and that the expected events happen.
fn check(name: &str, agents: [Kind; 3], budget: [u8; 4]) {
    let began = Instant::now();
    let checker =
        Consent { agents, rules: Rules::REAL, budget }.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} depth, {:.1} s",
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f32()
    );
    checker.assert_properties();
}

/// Whether the check finds with these rules that a property does not hold.
fn finds(rules: Rules, budget: [u8; 4], property: &'static str) -> bool {
    let consent = Consent { agents: HONEST, rules, budget }.checker().threads(2);
    let found = HasDiscoveries::AnyOf([property].into());
    consent.finish_when(found).spawn_bfs().join().discovery(property).is_some()
}

const HONEST: [Kind; 3] = [Kind::Honest; 3];
const ONE_LIES: [Kind; 3] = [Kind::Lying, Kind::Honest, Kind::Honest];

#[test]
fn a3_honest_agents_that_die_refuse_or_are_late() {
    check("refusals, a death", HONEST, [1, 1, 0, 0]);
    check("refusals, a deadline", HONEST, [1, 0, 1, 0]);
}

#[test]
fn a3_an_agent_that_writes_anything_on_its_board_fakes_only_its_own_agreement() {
    check("one lies", ONE_LIES, [0, 0, 0, 2]);
}

#[test]
fn wrong_rules_are_found() {
    for (rules, budget, expected) in [
        (Rules { serials_differ: false, ..Rules::REAL }, [1, 0, 0, 0], CONSENT),
        (Rules { compares_serials: false, ..Rules::REAL }, [1, 0, 0, 0], CONSENT),
        (Rules { checks_interrupts: false, ..Rules::REAL }, [2, 0, 0, 0], CONSENT),
        (Rules { refusal_wins: false, ..Rules::REAL }, [0, 1, 0, 0], REFUSAL),
        (Rules { death_interrupts: false, ..Rules::REAL }, [0, 1, 0, 0], ENDS),
        (Rules { interrupts_once: false, ..Rules::REAL }, [1, 1, 0, 0], ENDS),
    ] {
        assert!(finds(rules, budget, expected), "{rules:?} breaks: {expected}");
    }
}
