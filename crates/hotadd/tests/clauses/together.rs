//! Parties that are asked all at once: those of one level that live in other processes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{Driver, HardwareId, Notice, Partition, Registration, State, Status, Veto};

type Journal = Arc<Mutex<Vec<String>>>;

/// Writes down when it is begun with and when it is heard.
struct Remote {
    name: &'static str,
    journal: Journal,
    refuses: Option<Veto>,
    panics: bool,
}

impl Remote {
    fn say(&self, what: &str, notice: &Notice) {
        self.journal.lock().unwrap().push(format!("{} {what} {}", self.name, notice.state()));
    }
}

impl Driver for Remote {
    fn begin(&mut self, notice: &Notice) {
        self.say("begin", notice);
    }

    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.say("heard", notice);
        assert!(!self.panics, "as the test says");
        self.refuses.clone().map_or(Ok(()), Err)
    }

    fn add_complete(&mut self, notice: &Notice) {
        self.say("heard", notice);
    }

    fn add_failure(&mut self, notice: &Notice) {
        self.say("heard", notice);
    }

    fn answered_in(&self) -> Option<Duration> {
        Some(Duration::from_millis(7))
    }
}

struct World {
    partition: Partition,
    journal: Journal,
    registrations: Vec<Registration>,
}

impl World {
    fn new() -> Self {
        let partition = Partition::simulated(&Simulated::new(1, 2).unwrap()).unwrap();
        Self { partition, journal: Journal::default(), registrations: Vec::new() }
    }

    fn remote(&mut self, name: &'static str, level: i32, refuses: Option<Veto>) -> &mut Self {
        self.party(name, level, true, refuses, false)
    }

    fn local(&mut self, name: &'static str, level: i32) -> &mut Self {
        self.party(name, level, false, None, false)
    }

    fn party(
        &mut self,
        name: &'static str,
        level: i32,
        at_once: bool,
        refuses: Option<Veto>,
        panics: bool,
    ) -> &mut Self {
        let driver = Remote { name, journal: Arc::clone(&self.journal), refuses, panics };
        let party = self.partition.registration(name).level(level).without_replay();
        let party = if at_once { party.at_once() } else { party };
        self.registrations.push(party.register(driver).unwrap());
        self
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.journal.lock().unwrap())
    }
}

fn no() -> Option<Veto> {
    Some(Veto::new(Status::DEVICE_BUSY, "no"))
}

#[test]
fn everybody_of_a_level_is_begun_with_before_anybody_is_waited_for() {
    let mut world = World::new();
    world.remote("a", 0, None).local("l", 0).remote("b", 0, None).remote("c", 1, None);
    world.partition.add(HardwareId(1)).unwrap();
    let lines = "l heard AddStart, a begin AddStart, b begin AddStart, a heard AddStart, \
                 b heard AddStart, c heard AddStart, l heard AddComplete, \
                 a begin AddComplete, b begin AddComplete, a heard AddComplete, \
                 b heard AddComplete, c heard AddComplete";
    let why = "a level begins with the parties called in turn; a remote party alone in its level is called in turn";
    assert_eq!(world.heard().join(", "), lines, "{why}");
}

#[test]
fn a3_all_of_a_level_are_heard_also_behind_a_refusal_and_who_agreed_is_told() {
    let mut world = World::new();
    world.remote("z", -1, None).remote("a", 0, None).remote("b", 0, no()).remote("c", 0, None);
    world.remote("d", 0, no()).remote("e", 1, None);
    let error = world.partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error.party().unwrap().name, "b", "A11: the first refusal in calling order");
    let lines = "z heard AddStart, \
                 a begin AddStart, b begin AddStart, c begin AddStart, d begin AddStart, \
                 a heard AddStart, b heard AddStart, c heard AddStart, d heard AddStart, \
                 c begin AddFailure, a begin AddFailure, c heard AddFailure, a heard AddFailure, \
                 z heard AddFailure";
    assert_eq!(
        world.heard().join(", "),
        lines,
        "c had been asked and had agreed; e was never asked"
    );
}

#[test]
fn l3_an_answer_for_a_crashed_party_vetoes_and_deregisters_it() {
    let mut world = World::new();
    let gone = Veto::crash(Status::IO_TIMEOUT, "no answer in 5 s");
    world.remote("a", 0, None).remote("b", 0, Some(gone));
    let error = world.partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error.status(), Status::IO_TIMEOUT);
    assert!(!world.registrations[1].is_registered(), "it is deregistered");
    world.heard();
    world.partition.add(HardwareId(1)).expect("the next add works");
    assert!(world.heard().iter().all(|line| line.starts_with('a')), "b is not called again");
}

#[test]
fn l3_a_panic_in_the_middle_of_a_run_does_not_lose_the_rest_of_it() {
    let mut world = World::new();
    world.remote("a", 0, None).party("b", 0, true, None, true).remote("c", 0, None);
    world.partition.add(HardwareId(1)).unwrap_err();
    let lines = "a begin AddStart, b begin AddStart, c begin AddStart, \
                 a heard AddStart, b heard AddStart, c heard AddStart, \
                 c begin AddFailure, a begin AddFailure, c heard AddFailure, a heard AddFailure";
    assert_eq!(world.heard().join(", "), lines);
}

/// Has nothing to say: it does not get beyond being begun with.
struct Stillborn;

impl Driver for Stillborn {
    fn begin(&mut self, _: &Notice) {
        panic!("as the test says");
    }

    fn add_start(&mut self, _: &Notice) -> Result<(), Veto> {
        unreachable!("it has crashed")
    }
}

#[test]
fn l3_who_panics_when_begun_with_vetoes_when_its_turn_comes() {
    let mut world = World::new();
    let stillborn =
        world.partition.registration("s").without_replay().at_once().register(Stillborn).unwrap();
    world.remote("a", 0, None);
    let error = world.partition.add(HardwareId(1)).unwrap_err();
    assert_eq!(error.party().unwrap().name, "s");
    assert_eq!(error.status(), Status::DRIVER_INTERNAL_ERROR);
    assert!(!stillborn.is_registered());
    let lines = "a begin AddStart, a heard AddStart, a heard AddFailure";
    assert_eq!(world.heard().join(", "), lines, "and nobody else is taken for the culprit");
    world.partition.add(HardwareId(1)).expect("the next add works");
}

#[test]
fn a10_a_rehearsal_hears_every_level_and_says_how_long_each_took() {
    let mut world = World::new();
    world.remote("a", 0, no()).remote("b", 0, None).remote("c", 1, no());
    let rehearsal = world.partition.rehearse(HardwareId(1)).unwrap();
    let answers: Vec<_> =
        rehearsal.answers.iter().map(|a| (a.party.name.as_str(), a.answer.is_ok())).collect();
    assert_eq!(answers, [("a", false), ("b", true), ("c", false)]);
    assert!(rehearsal.answers.iter().all(|a| a.took == Duration::from_millis(7)));
    let told: Vec<_> =
        world.heard().into_iter().filter(|l| l.contains(State::AddFailure.name())).collect();
    assert_eq!(told, ["b heard AddFailure"]);
}
