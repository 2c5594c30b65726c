//! What an [`Agent`] promises, each with what its driver really hears.

extern crate std;

use std::format;
use std::string::{String, ToString};
use std::vec;

use super::*;
use crate::processor::{HardwareId, ProcessorIndex};
use crate::status::Status;

/// An agent and its driver: `heard` is all that the driver was called with.
struct Desk {
    agent: Agent,
    heard: Vec<String>,
}

fn at(index: u32, id: u32) -> Processor {
    Processor { index: ProcessorIndex::new(index).unwrap(), id: HardwareId(id) }
}

impl Desk {
    fn new(agent: Agent) -> Self {
        Self { agent, heard: vec![] }
    }

    /// Registered for later ones only, so that there is no replay to speak of.
    fn live() -> Self {
        let mut desk = Self::new(Agent::new().without_replay().hearing_removals());
        assert!(!desk.agent.registering(), "the driver holds nothing");
        desk.owed(|agent| agent.registered(Epoch(1)));
        desk
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
        self.heard.push(line);
    }

    /// A notice comes, and the driver agrees if it is asked.
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

    /// Register with a replay of these, to the end.
    fn register(&mut self, active: &[Processor]) {
        assert!(self.agent.registering());
        for state in [State::AddStart, State::AddComplete] {
            for &processor in active {
                assert!(!matches!(self.told(state, processor), Then::Breach(_)));
            }
        }
        self.owed(|agent| agent.registered(Epoch(1)));
    }

    fn heard(&mut self) -> String {
        core::mem::take(&mut self.heard).join(", ")
    }
}

const P0: fn() -> Processor = || at(0, 0);
const P1: fn() -> Processor = || at(1, 1);

#[test]
fn a_driver_that_was_told_of_a_processor_is_not_told_again_when_it_reconnects() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0(), P1()]);
    assert_eq!(desk.heard(), "AddStart 0, AddStart 1, AddComplete 0, AddComplete 1");
    desk.agent.lost();
    desk.register(&[P0(), P1(), at(2, 2)]);
    assert_eq!(desk.heard(), "AddStart 2, AddComplete 2");
}

#[test]
fn what_it_had_prepared_and_what_joined_after_all_is_completed_once() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    desk.told(State::AddStart, P1());
    desk.heard();
    desk.agent.lost();
    desk.register(&[P0(), P1()]);
    assert_eq!(desk.heard(), "AddComplete 1");
    assert!(matches!(desk.told(State::AddFailure, P1()), Then::Breach(_)));
}

#[test]
fn what_it_had_prepared_and_what_did_not_join_fails_once() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    desk.told(State::AddStart, P1());
    desk.heard();
    desk.agent.lost();
    desk.register(&[P0()]);
    assert_eq!(desk.heard(), "AddFailure 1 reset");
    desk.agent.lost();
    desk.register(&[P0()]);
    assert_eq!(desk.heard(), "");
}

#[test]
fn between_two_add_starts_there_is_always_an_outcome() {
    let mut desk = Desk::new(Agent::new().hearing_removals());
    desk.register(&[P0()]);
    desk.heard();
    desk.told(State::AddStart, P1());
    desk.register(&[P0()]);
    desk.told(State::AddStart, P1());
    assert_eq!(desk.heard(), "AddStart 1, AddFailure 1 reset, AddStart 1");
    desk.told(State::AddComplete, P1());
    // Before the reply to Register could say that 1 is not in the replay.
    assert!(desk.agent.registering());
    desk.told(State::AddStart, P0());
    desk.told(State::AddComplete, P0());
    desk.told(State::AddStart, P1());
    assert_eq!(desk.heard(), "AddComplete 1, RemoveComplete 1 surprise, AddStart 1");
}

#[test]
fn an_add_behind_the_replay_is_one_even_if_the_reply_is_late() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    desk.told(State::AddStart, P1());
    desk.heard();
    assert!(desk.agent.registering());
    desk.told(State::AddStart, P0());
    desk.told(State::AddComplete, P0());
    desk.told(State::AddStart, P1());
    desk.owed(|agent| agent.registered(Epoch(1)));
    desk.told(State::AddComplete, P1());
    assert_eq!(desk.heard(), "AddFailure 1 reset, AddStart 1, AddComplete 1");
}

#[test]
fn a_refused_replay_leaves_what_the_driver_had() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    desk.told(State::AddStart, P1());
    desk.heard();
    assert!(desk.agent.registering());
    for processor in [P0(), P1(), at(2, 2)] {
        desk.told(State::AddStart, processor);
    }
    desk.comes(&Notice::new(State::AddStart, at(3, 3)), false);
    for processor in [P0(), P1(), at(2, 2)] {
        desk.told(State::AddFailure, processor);
    }
    desk.agent.lost();
    assert_eq!(desk.heard(), "AddComplete 1, AddStart 2, AddStart 3, AddFailure 2");
    desk.register(&[P0(), P1()]);
    assert_eq!(desk.heard(), "");
}

#[test]
fn a_processor_with_another_index_is_another_processor() {
    let mut desk = Desk::new(Agent::new().hearing_removals());
    desk.register(&[P0(), at(1, 2)]);
    desk.told(State::AddStart, at(2, 1));
    desk.heard();
    desk.agent.lost();
    desk.register(&[P0(), P1(), at(2, 2)]);
    // The new 1 has the index of the old 2 and the id of one that was only prepared.
    let before = "RemoveComplete 2 at 1 surprise, AddFailure 1 at 2 reset, ";
    let after = "AddStart 1, AddStart 2, AddComplete 1, AddComplete 2";
    assert_eq!(desk.heard(), before.to_string() + after);
}

#[test]
fn what_left_meanwhile_is_a_surprise_to_those_who_hear_removals_only() {
    for (agent, expected) in
        [(Agent::new(), ""), (Agent::new().hearing_removals(), "RemoveComplete 1 surprise")]
    {
        let mut desk = Desk::new(agent);
        desk.register(&[P0(), P1()]);
        desk.heard();
        desk.register(&[P0()]);
        assert_eq!(desk.heard(), expected);
        assert_eq!(desk.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
    }
}

#[test]
fn without_a_replay_for_the_driver_the_agents_own_settles_what_is_held() {
    let mut desk = Desk::live();
    for id in 1..4 {
        desk.told(State::AddStart, at(id, id));
    }
    for state in [State::AddComplete, State::RemoveStart] {
        desk.told(state, at(3, 3));
    }
    desk.heard();
    desk.register(&[P0(), P1(), at(3, 3)]);
    let owed = "AddComplete 1, RemoveFailure 3 reset, AddFailure 2 reset";
    assert_eq!(desk.heard(), owed, "and nothing of 0");
    let joined = [P1(), at(3, 3)].map(|processor| (processor, Held::Joined));
    assert_eq!(desk.agent.held().collect::<Vec<_>>(), joined);
    // The partition has told this party that they joined, and so it says how they leave (X4).
    desk.told(State::RemoveStart, P1());
    desk.told(State::RemoveComplete, P1());
    desk.comes(&Notice::new(State::RemoveComplete, at(3, 3)).as_surprise(), true);
    let left = "RemoveStart 1, RemoveComplete 1, RemoveComplete 3 surprise";
    assert_eq!(desk.heard(), left);
}

#[test]
fn a_driver_that_wants_no_replay_and_holds_nothing_has_none() {
    let mut desk = Desk::live();
    desk.comes(&Notice::new(State::AddStart, P1()), false);
    assert!(!desk.agent.registering());
    desk.owed(|agent| agent.registered(Epoch(1)));
    desk.told(State::AddStart, P1());
    desk.told(State::AddFailure, P1());
    assert!(!desk.agent.registering());
    desk.told(State::AddStart, P1());
    assert!(desk.agent.registering());
}

/// A driver that wants no replay, holds 1, and is registered again while 0 and 1 are active: 0 is kept from it.
fn keeping() -> Desk {
    let mut desk = Desk::live();
    desk.told(State::AddStart, P1());
    desk.told(State::AddComplete, P1());
    desk.register(&[P0(), P1()]);
    desk.heard();
    desk
}

#[test]
fn what_is_kept_from_a_driver_is_kept_to_its_end() {
    let surprise = Notice::new(State::RemoveComplete, P0()).as_surprise();
    let end = Notice::new(State::RemoveComplete, P0());
    for (before, end) in [
        (&[][..], surprise),
        (&[State::RemoveStart], end),
        (&[State::RemoveStart, State::RemoveFailure, State::RemoveStart], end),
    ] {
        let mut desk = keeping();
        for &state in before {
            assert_eq!(desk.told(state, P0()), Then::Agree, "{state}");
        }
        assert_eq!(desk.comes(&end, true), Then::Agree);
        assert!(matches!(desk.comes(&end, true), Then::Breach(_)), "it is gone");
        assert_eq!(desk.heard(), "");
        // Added again it is a later one like any other.
        desk.told(State::AddStart, P0());
        desk.told(State::AddComplete, P0());
        desk.told(State::RemoveStart, P0());
        assert_eq!(desk.heard(), "AddStart 0, AddComplete 0, RemoveStart 0");
    }
}

#[test]
fn what_is_kept_from_a_driver_that_hears_no_removals_is_asked_about_when_it_is_added_again() {
    let mut desk = Desk::new(Agent::new().without_replay());
    assert!(!desk.agent.registering());
    desk.told(State::AddStart, P1());
    desk.register(&[P0()]);
    desk.heard();
    // It has left, and this driver was not to hear of that.
    assert_eq!(desk.told(State::AddStart, P0()), Then::Call);
    assert_eq!(desk.told(State::AddComplete, P0()), Then::Call);
    assert_eq!(desk.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
}

#[test]
fn what_was_kept_is_of_one_registration() {
    let mut desk = keeping();
    desk.agent.lost();
    assert!(desk.agent.registering());
    desk.told(State::AddStart, P1());
    desk.told(State::AddComplete, P1());
    desk.owed(|agent| agent.registered(Epoch(1)));
    // 0 was not in the replay: it has left, and whoever says more of that speaks of another registration.
    for state in [State::RemoveStart, State::RemoveComplete, State::RemoveFailure] {
        assert!(matches!(desk.told(state, P0()), Then::Breach(_)), "{state}");
    }
    assert_eq!(desk.heard(), "");
}

#[test]
fn a_refused_replay_leaves_a_driver_that_wants_none_what_it_had() {
    let mut desk = keeping();
    assert!(desk.agent.registering());
    for state in [State::AddStart, State::AddFailure] {
        for processor in [P0(), P1()] {
            assert_eq!(desk.told(state, processor), Then::Agree);
        }
    }
    assert!(matches!(desk.told(State::AddFailure, P0()), Then::Breach(_)), "told once");
    desk.agent.lost();
    assert_eq!(desk.heard(), "");
    assert_eq!(desk.agent.held().collect::<Vec<_>>(), [(P1(), Held::Joined)]);
}

#[test]
fn an_open_removal_comes_to_its_outcome() {
    for (active, expected) in [(&[0][..], "RemoveComplete 1"), (&[0, 1], "RemoveFailure 1 reset")] {
        let mut desk = Desk::new(Agent::new().hearing_removals());
        desk.register(&[P0(), P1()]);
        desk.told(State::RemoveStart, P1());
        desk.heard();
        desk.agent.lost();
        desk.register(&active.iter().map(|&id| at(id, id)).collect::<Vec<_>>());
        assert_eq!(desk.heard(), expected);
    }
}

#[test]
fn a_removal_that_came_to_nothing_leaves_the_processor_joined() {
    for told in [true, false] {
        let mut desk = Desk::new(Agent::new().hearing_removals());
        desk.register(&[P0(), P1()]);
        desk.told(State::RemoveStart, P1());
        desk.heard();
        if told {
            desk.told(State::RemoveFailure, P1());
            assert_eq!(desk.heard(), "RemoveFailure 1");
        } else {
            desk.register(&[P0(), P1()]);
            assert_eq!(desk.heard(), "RemoveFailure 1 reset");
        }
        assert_eq!(desk.agent.held().nth(1), Some((P1(), Held::Joined)));
    }
}

#[test]
fn nobody_hears_of_the_end_of_what_it_did_not_hear_the_beginning_of() {
    let mut desk = Desk::new(Agent::new().hearing_removals());
    desk.register(&[P0()]);
    desk.told(State::AddStart, at(2, 2));
    desk.heard();
    let surprise = |processor| Notice::new(State::RemoveComplete, processor).as_surprise();
    // Nobody was asked about 1 when it came (Q3), and 2 has not joined.
    for processor in [P1(), at(2, 2)] {
        for state in [State::RemoveStart, State::RemoveComplete, State::RemoveFailure] {
            assert!(matches!(desk.told(state, processor), Then::Breach(_)), "{state}");
        }
        assert!(matches!(desk.comes(&surprise(processor), true), Then::Breach(_)));
    }
    assert!(matches!(desk.told(State::RemoveComplete, P0()), Then::Breach(_)), "not asked");
    assert_eq!(desk.heard(), "");
    assert_eq!(desk.comes(&surprise(P0()), true), Then::Call);
}

#[test]
fn an_answer_that_reaches_nobody_still_comes_to_an_outcome() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    let notice = Notice::new(State::AddStart, P1());
    assert_eq!(desk.agent.notice(&notice).then, Then::Call);
    desk.agent.lost();
    desk.agent.answered(&notice, true);
    desk.heard();
    desk.register(&[P0()]);
    assert_eq!(desk.heard(), "AddFailure 1 reset");
}

#[test]
fn who_gives_up_is_told_of_everything_open() {
    let mut desk = Desk::live();
    for state in [State::AddStart, State::AddComplete, State::RemoveStart] {
        desk.told(state, P0());
    }
    desk.told(State::AddStart, P1());
    desk.told(State::AddStart, at(2, 2));
    desk.told(State::AddComplete, at(2, 2));
    desk.heard();
    desk.owed(Agent::abandon);
    assert_eq!(desk.heard(), "RemoveFailure 0 reset, AddFailure 1 reset");
    desk.owed(Agent::abandon);
    assert_eq!(desk.heard(), "");
}

#[test]
fn a_veto_leaves_nothing_open() {
    let mut desk = Desk::new(Agent::new().hearing_removals());
    desk.register(&[P0()]);
    desk.comes(&Notice::new(State::AddStart, P1()), false);
    desk.comes(&Notice::new(State::RemoveStart, P0()), false);
    assert_eq!(desk.agent.held().collect::<Vec<_>>(), [(P0(), Held::Joined)]);
}

#[test]
fn a_partition_that_breaks_the_protocol_does_not_reach_the_driver() {
    let mut desk = Desk::new(Agent::new().hearing_removals());
    assert!(matches!(desk.told(State::AddStart, P0()), Then::Breach(_)), "not registered");
    desk.register(&[P0()]);
    desk.heard();
    for state in State::ALL {
        if state != State::AddStart {
            assert!(matches!(desk.told(state, P1()), Then::Breach(_)), "{state}");
        }
    }
    assert!(matches!(desk.told(State::AddComplete, P0()), Then::Breach(_)));
    let surprise = Notice::new(State::RemoveComplete, P1()).as_surprise();
    assert!(matches!(desk.comes(&surprise, true), Then::Breach(_)));
    assert_eq!(desk.heard(), "");
    let mut deaf = Desk::new(Agent::new());
    deaf.register(&[P0()]);
    deaf.heard();
    assert!(matches!(deaf.told(State::RemoveStart, P0()), Then::Breach(_)), "it hears none");
    assert!(deaf.agent.registering());
    deaf.told(State::AddStart, P0());
    assert!(matches!(deaf.told(State::AddStart, P0()), Then::Breach(_)), "named twice");
    assert_eq!(deaf.heard(), "");
}

#[test]
fn q5_an_outcome_is_of_a_replay_exactly_if_its_beginning_was() {
    // Told by the replay of a registration that was cut off; by a live add; and by both, one after the other.
    let start = Notice::new(State::AddStart, P1());
    for (begins, outcome) in [(start.as_replay(), " replay"), (start, "")] {
        for (joined, expected) in [(true, "AddComplete 1"), (false, "AddFailure 1 reset")] {
            let mut desk = Desk::new(Agent::new());
            if begins.is_replay() {
                let _ = desk.agent.registering();
            } else {
                desk.register(&[P0()]);
            }
            assert_eq!(desk.comes(&begins, true), Then::Call);
            desk.agent.lost();
            desk.heard();
            let mut abandoned = desk.agent.clone();
            let active = if joined { vec![P1()] } else { vec![] };
            desk.register(&active);
            assert_eq!(desk.heard(), format!("{expected}{outcome}"), "settled by a reconnection");
            let owed = abandoned.abandon();
            assert_eq!(owed[0].is_replay(), begins.is_replay(), "settled by giving up");
        }
    }
}

#[test]
fn q5_what_joined_while_the_connection_was_gone_is_told_as_a_replay() {
    let mut desk = Desk::new(Agent::new());
    desk.register(&[P0()]);
    let _ = desk.agent.registering();
    desk.heard();
    for state in [State::AddStart, State::AddComplete] {
        for processor in [P0(), P1()] {
            desk.comes(&Notice::new(state, processor).as_replay(), true);
        }
    }
    assert_eq!(desk.heard(), "AddStart 1 replay, AddComplete 1 replay");
}
