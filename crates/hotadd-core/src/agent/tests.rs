//! What an [`Agent`] promises, shown by the calls that its driver gets.

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;

use super::*;
use crate::processor::{HardwareId, ProcessorIndex};
use crate::status::Status;

/// An agent and its driver: `calls` has every call that the driver got.
struct Fixture {
    agent: Agent,
    calls: Vec<String>,
}

fn at(index: u32, id: u32) -> Processor {
    Processor { index: ProcessorIndex::new(index).unwrap(), id: HardwareId(id) }
}

impl Fixture {
    fn new(agent: Agent) -> Self {
        Self { agent, calls: vec![] }
    }

    /// An agent that registered without a replay.
    fn live() -> Self {
        let mut fixture = Self::new(Agent::new().without_replay().hearing_removals());
        assert!(!fixture.agent.registering(), "the driver holds nothing");
        fixture.owed(|agent| agent.registered(Epoch(1)));
        fixture
    }

    fn owed(&mut self, what: impl FnOnce(&mut Agent) -> Vec<Notice>) {
        for notice in what(&mut self.agent) {
            self.hear(&notice);
        }
    }

    fn hear(&mut self, notice: &Notice) {
        let mut line = format!("{} {}", notice.state(), notice.processor().id);
        if notice.processor().index.get() != notice.processor().id.0 {
            line += &format!(" at {}", notice.processor().index);
        }
        if notice.is_surprise() {
            line += " surprise";
        }
        if notice.status() == Status::CONNECTION_RESET {
            line += " reset";
        }
        if notice.is_replay() {
            line += " replay";
        }
        self.calls.push(line);
    }

    /// Delivers a notice. The driver agrees if it is asked.
    fn told(&mut self, state: State, processor: Processor) -> Then {
        self.comes(&Notice::new(state, processor), true)
    }

    fn comes(&mut self, notice: &Notice, agrees: bool) -> Then {
        let reaction = self.agent.notice(notice);
        for owed in &reaction.owed {
            self.hear(owed);
        }
        if reaction.then == Then::Call {
            self.hear(notice);
            self.agent.answered(notice, agrees);
        }
        reaction.then
    }

    /// Registers, with a complete replay of these processors.
    fn register(&mut self, active: &[Processor]) {
        assert!(self.agent.registering());
        for state in [State::AddStart, State::AddComplete] {
            for &processor in active {
                assert!(!matches!(self.told(state, processor), Then::Breach(_)));
            }
        }
        self.owed(|agent| agent.registered(Epoch(1)));
    }

    fn calls(&mut self) -> String {
        core::mem::take(&mut self.calls).join(", ")
    }
}

const P0: fn() -> Processor = || at(0, 0);
const P1: fn() -> Processor = || at(1, 1);

#[test]
fn a_reconnected_driver_is_told_only_of_processors_that_are_new_to_it() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0(), P1()]);
    assert_eq!(fixture.calls(), "AddStart 0, AddStart 1, AddComplete 0, AddComplete 1");
    fixture.agent.lost();
    fixture.register(&[P0(), P1(), at(2, 2)]);
    assert_eq!(fixture.calls(), "AddStart 2, AddComplete 2");
}

#[test]
fn a_prepared_processor_that_joined_meanwhile_is_completed_once() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, P1());
    fixture.calls();
    fixture.agent.lost();
    fixture.register(&[P0(), P1()]);
    assert_eq!(fixture.calls(), "AddComplete 1");
    assert!(matches!(fixture.told(State::AddFailure, P1()), Then::Breach(_)));
}

#[test]
fn a_prepared_processor_that_did_not_join_fails_once() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, P1());
    fixture.calls();
    fixture.agent.lost();
    fixture.register(&[P0()]);
    assert_eq!(fixture.calls(), "AddFailure 1 reset");
    fixture.agent.lost();
    fixture.register(&[P0()]);
    assert_eq!(fixture.calls(), "");
}

#[test]
fn an_outcome_comes_between_two_add_starts_of_a_processor() {
    let mut fixture = Fixture::new(Agent::new().hearing_removals());
    fixture.register(&[P0()]);
    fixture.calls();
    fixture.told(State::AddStart, P1());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, P1());
    assert_eq!(fixture.calls(), "AddStart 1, AddFailure 1 reset, AddStart 1");
    fixture.told(State::AddComplete, P1());
    // The next AddStart arrives before the reply to Register, which would say that 1 is not in the replay.
    assert!(fixture.agent.registering());
    fixture.told(State::AddStart, P0());
    fixture.told(State::AddComplete, P0());
    fixture.told(State::AddStart, P1());
    assert_eq!(fixture.calls(), "AddComplete 1, RemoveComplete 1 surprise, AddStart 1");
}

#[test]
fn an_add_after_the_replay_is_live_even_if_the_reply_to_register_is_late() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, P1());
    fixture.calls();
    assert!(fixture.agent.registering());
    fixture.told(State::AddStart, P0());
    fixture.told(State::AddComplete, P0());
    fixture.told(State::AddStart, P1());
    fixture.owed(|agent| agent.registered(Epoch(1)));
    fixture.told(State::AddComplete, P1());
    assert_eq!(fixture.calls(), "AddFailure 1 reset, AddStart 1, AddComplete 1");
}

#[test]
fn a_refused_replay_keeps_what_the_driver_held() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, P1());
    fixture.calls();
    assert!(fixture.agent.registering());
    for processor in [P0(), P1(), at(2, 2)] {
        fixture.told(State::AddStart, processor);
    }
    fixture.comes(&Notice::new(State::AddStart, at(3, 3)), false);
    for processor in [P0(), P1(), at(2, 2)] {
        fixture.told(State::AddFailure, processor);
    }
    fixture.agent.lost();
    assert_eq!(fixture.calls(), "AddComplete 1, AddStart 2, AddStart 3, AddFailure 2");
    fixture.register(&[P0(), P1()]);
    assert_eq!(fixture.calls(), "");
}

#[test]
fn a_processor_under_another_index_counts_as_another_processor() {
    let mut fixture = Fixture::new(Agent::new().hearing_removals());
    fixture.register(&[P0(), at(1, 2)]);
    fixture.told(State::AddStart, at(2, 1));
    fixture.calls();
    fixture.agent.lost();
    fixture.register(&[P0(), P1(), at(2, 2)]);
    // The new 1 has the index of the old 2, and the id of a processor that was only prepared.
    let before = "RemoveComplete 2 at 1 surprise, AddFailure 1 at 2 reset, ";
    let after = "AddStart 1, AddStart 2, AddComplete 1, AddComplete 2";
    assert_eq!(fixture.calls(), before.to_string() + after);
}

#[test]
fn a_processor_that_left_meanwhile_is_a_surprise_if_the_driver_hears_removals() {
    for (agent, expected) in
        [(Agent::new(), ""), (Agent::new().hearing_removals(), "RemoveComplete 1 surprise")]
    {
        let mut fixture = Fixture::new(agent);
        fixture.register(&[P0(), P1()]);
        fixture.calls();
        fixture.register(&[P0()]);
        assert_eq!(fixture.calls(), expected);
        assert_eq!(fixture.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
    }
}

#[test]
fn the_agent_settles_held_processors_by_a_replay_that_the_driver_did_not_ask_for() {
    let mut fixture = Fixture::live();
    for id in 1..4 {
        fixture.told(State::AddStart, at(id, id));
    }
    for state in [State::AddComplete, State::RemoveStart] {
        fixture.told(state, at(3, 3));
    }
    fixture.calls();
    fixture.register(&[P0(), P1(), at(3, 3)]);
    let owed = "AddComplete 1, RemoveFailure 3 reset, AddFailure 2 reset";
    assert_eq!(fixture.calls(), owed, "and no call about 0");
    let joined = [P1(), at(3, 3)].map(|processor| (processor, Held::Joined));
    assert_eq!(fixture.agent.held().collect::<Vec<_>>(), joined);
    // The partition told this party that they joined, so it also tells how they leave (X4).
    fixture.told(State::RemoveStart, P1());
    fixture.told(State::RemoveComplete, P1());
    fixture.comes(&Notice::new(State::RemoveComplete, at(3, 3)).as_surprise(), true);
    let left = "RemoveStart 1, RemoveComplete 1, RemoveComplete 3 surprise";
    assert_eq!(fixture.calls(), left);
}

#[test]
fn the_agent_asks_for_no_replay_if_the_driver_wants_none_and_holds_nothing() {
    let mut fixture = Fixture::live();
    fixture.comes(&Notice::new(State::AddStart, P1()), false);
    assert!(!fixture.agent.registering());
    fixture.owed(|agent| agent.registered(Epoch(1)));
    fixture.told(State::AddStart, P1());
    fixture.told(State::AddFailure, P1());
    assert!(!fixture.agent.registering());
    fixture.told(State::AddStart, P1());
    assert!(fixture.agent.registering());
}

/// A driver that wants no replay, holds 1, and registers again while 0 and 1 are active. The agent withholds 0 from it.
fn withholding() -> Fixture {
    let mut fixture = Fixture::live();
    fixture.told(State::AddStart, P1());
    fixture.told(State::AddComplete, P1());
    fixture.register(&[P0(), P1()]);
    fixture.calls();
    fixture
}

#[test]
fn a_withheld_processor_is_withheld_until_it_leaves() {
    let surprise = Notice::new(State::RemoveComplete, P0()).as_surprise();
    let end = Notice::new(State::RemoveComplete, P0());
    for (before, end) in [
        (&[][..], surprise),
        (&[State::RemoveStart], end),
        (&[State::RemoveStart, State::RemoveFailure, State::RemoveStart], end),
    ] {
        let mut fixture = withholding();
        for &state in before {
            assert_eq!(fixture.told(state, P0()), Then::Agree, "{state}");
        }
        assert_eq!(fixture.comes(&end, true), Then::Agree);
        assert!(matches!(fixture.comes(&end, true), Then::Breach(_)), "it is gone");
        assert_eq!(fixture.calls(), "");
        // When it is added again, the driver is told like of any other.
        fixture.told(State::AddStart, P0());
        fixture.told(State::AddComplete, P0());
        fixture.told(State::RemoveStart, P0());
        assert_eq!(fixture.calls(), "AddStart 0, AddComplete 0, RemoveStart 0");
    }
}

#[test]
fn a_withheld_processor_is_asked_about_when_it_is_added_again() {
    let mut fixture = Fixture::new(Agent::new().without_replay());
    assert!(!fixture.agent.registering());
    fixture.told(State::AddStart, P1());
    fixture.register(&[P0()]);
    fixture.calls();
    // Processor 0 has left, and this driver does not hear removals.
    assert_eq!(fixture.told(State::AddStart, P0()), Then::Call);
    assert_eq!(fixture.told(State::AddComplete, P0()), Then::Call);
    assert_eq!(fixture.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
}

#[test]
fn withheld_processors_belong_to_one_registration() {
    let mut fixture = withholding();
    fixture.agent.lost();
    assert!(fixture.agent.registering());
    fixture.told(State::AddStart, P1());
    fixture.told(State::AddComplete, P1());
    fixture.owed(|agent| agent.registered(Epoch(1)));
    // 0 was not in the replay, so it has left. A removal of 0 now would belong to the previous registration.
    for state in [State::RemoveStart, State::RemoveComplete, State::RemoveFailure] {
        assert!(matches!(fixture.told(state, P0()), Then::Breach(_)), "{state}");
    }
    assert_eq!(fixture.calls(), "");
}

#[test]
fn a_refused_replay_keeps_what_a_driver_without_a_replay_held() {
    let mut fixture = withholding();
    assert!(fixture.agent.registering());
    for state in [State::AddStart, State::AddFailure] {
        for processor in [P0(), P1()] {
            assert_eq!(fixture.told(state, processor), Then::Agree);
        }
    }
    assert!(matches!(fixture.told(State::AddFailure, P0()), Then::Breach(_)), "told once");
    fixture.agent.lost();
    assert_eq!(fixture.calls(), "");
    assert_eq!(fixture.agent.held().collect::<Vec<_>>(), [(P1(), Held::Joined)]);
}

#[test]
fn an_open_removal_gets_its_outcome_at_reconnection() {
    for (active, expected) in [(&[0][..], "RemoveComplete 1"), (&[0, 1], "RemoveFailure 1 reset")] {
        let mut fixture = Fixture::new(Agent::new().hearing_removals());
        fixture.register(&[P0(), P1()]);
        fixture.told(State::RemoveStart, P1());
        fixture.calls();
        fixture.agent.lost();
        fixture.register(&active.iter().map(|&id| at(id, id)).collect::<Vec<_>>());
        assert_eq!(fixture.calls(), expected);
    }
}

#[test]
fn a_failed_removal_leaves_the_processor_joined() {
    for told in [true, false] {
        let mut fixture = Fixture::new(Agent::new().hearing_removals());
        fixture.register(&[P0(), P1()]);
        fixture.told(State::RemoveStart, P1());
        fixture.calls();
        if told {
            fixture.told(State::RemoveFailure, P1());
            assert_eq!(fixture.calls(), "RemoveFailure 1");
        } else {
            fixture.register(&[P0(), P1()]);
            assert_eq!(fixture.calls(), "RemoveFailure 1 reset");
        }
        assert_eq!(fixture.agent.held().nth(1), Some((P1(), Held::Joined)));
    }
}

#[test]
fn x4_a_removal_of_a_processor_that_the_driver_does_not_hold_is_a_breach() {
    let mut fixture = Fixture::new(Agent::new().hearing_removals());
    fixture.register(&[P0()]);
    fixture.told(State::AddStart, at(2, 2));
    fixture.calls();
    let surprise = |processor| Notice::new(State::RemoveComplete, processor).as_surprise();
    // No party was asked about 1 when it joined (Q3), and 2 has not joined.
    for processor in [P1(), at(2, 2)] {
        for state in [State::RemoveStart, State::RemoveComplete, State::RemoveFailure] {
            assert!(matches!(fixture.told(state, processor), Then::Breach(_)), "{state}");
        }
        assert!(matches!(fixture.comes(&surprise(processor), true), Then::Breach(_)));
    }
    assert!(matches!(fixture.told(State::RemoveComplete, P0()), Then::Breach(_)), "not asked");
    assert_eq!(fixture.calls(), "");
    assert_eq!(fixture.comes(&surprise(P0()), true), Then::Call);
}

#[test]
fn an_agreement_given_after_the_connection_was_lost_gets_an_outcome() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    let notice = Notice::new(State::AddStart, P1());
    assert_eq!(fixture.agent.notice(&notice).then, Then::Call);
    fixture.agent.lost();
    fixture.agent.answered(&notice, true);
    fixture.calls();
    fixture.register(&[P0()]);
    assert_eq!(fixture.calls(), "AddFailure 1 reset");
}

#[test]
fn a_driver_that_is_abandoned_is_told_the_outcome_of_everything_open() {
    let mut fixture = Fixture::live();
    for state in [State::AddStart, State::AddComplete, State::RemoveStart] {
        fixture.told(state, P0());
    }
    fixture.told(State::AddStart, P1());
    fixture.told(State::AddStart, at(2, 2));
    fixture.told(State::AddComplete, at(2, 2));
    fixture.calls();
    fixture.owed(Agent::abandon);
    assert_eq!(fixture.calls(), "RemoveFailure 0 reset, AddFailure 1 reset");
    fixture.owed(Agent::abandon);
    assert_eq!(fixture.calls(), "");
}

#[test]
fn a_veto_leaves_nothing_open() {
    let mut fixture = Fixture::new(Agent::new().hearing_removals());
    fixture.register(&[P0()]);
    fixture.comes(&Notice::new(State::AddStart, P1()), false);
    fixture.comes(&Notice::new(State::RemoveStart, P0()), false);
    assert_eq!(fixture.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
}

#[test]
fn a_notice_that_breaks_the_protocol_does_not_reach_the_driver() {
    let mut fixture = Fixture::new(Agent::new().hearing_removals());
    assert!(matches!(fixture.told(State::AddStart, P0()), Then::Breach(_)), "not registered");
    fixture.register(&[P0()]);
    fixture.calls();
    for state in State::ALL {
        if state != State::AddStart {
            assert!(matches!(fixture.told(state, P1()), Then::Breach(_)), "{state}");
        }
    }
    assert!(matches!(fixture.told(State::AddComplete, P0()), Then::Breach(_)));
    let surprise = Notice::new(State::RemoveComplete, P1()).as_surprise();
    assert!(matches!(fixture.comes(&surprise, true), Then::Breach(_)));
    assert_eq!(fixture.calls(), "");
    let mut without_removals = Fixture::new(Agent::new());
    without_removals.register(&[P0()]);
    without_removals.calls();
    assert!(
        matches!(without_removals.told(State::RemoveStart, P0()), Then::Breach(_)),
        "it does not hear removals"
    );
    assert!(without_removals.agent.registering());
    without_removals.told(State::AddStart, P0());
    assert!(matches!(without_removals.told(State::AddStart, P0()), Then::Breach(_)), "named twice");
    assert_eq!(without_removals.calls(), "");
}

#[test]
fn q5_an_outcome_is_marked_as_a_replay_exactly_if_its_start_was() {
    // AddStart comes from the replay of an interrupted registration, or from a live add.
    let start = Notice::new(State::AddStart, P1());
    for (begins, outcome) in [(start.as_replay(), " replay"), (start, "")] {
        for (joined, expected) in [(true, "AddComplete 1"), (false, "AddFailure 1 reset")] {
            let mut fixture = Fixture::new(Agent::new());
            if begins.is_replay() {
                let _ = fixture.agent.registering();
            } else {
                fixture.register(&[P0()]);
            }
            assert_eq!(fixture.comes(&begins, true), Then::Call);
            fixture.agent.lost();
            fixture.calls();
            let mut abandoned = fixture.agent.clone();
            let active = if joined { vec![P1()] } else { vec![] };
            fixture.register(&active);
            assert_eq!(
                fixture.calls(),
                format!("{expected}{outcome}"),
                "settled by a reconnection"
            );
            let owed = abandoned.abandon();
            assert_eq!(owed[0].is_replay(), begins.is_replay(), "settled by giving up");
        }
    }
}

#[test]
fn q5_a_processor_that_joined_while_disconnected_is_told_as_a_replay() {
    let mut fixture = Fixture::new(Agent::new());
    fixture.register(&[P0()]);
    let _ = fixture.agent.registering();
    fixture.calls();
    for state in [State::AddStart, State::AddComplete] {
        for processor in [P0(), P1()] {
            fixture.comes(&Notice::new(state, processor).as_replay(), true);
        }
    }
    assert_eq!(fixture.calls(), "AddStart 1 replay, AddComplete 1 replay");
}
