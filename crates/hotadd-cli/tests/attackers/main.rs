//! One run that tries everything that the threat model names (docs/threat-model.md) against the program itself, as an outsider meets
//! it. Each attempt is one line: what was tried, and how it ended as hotadd said it. All are tried, and those that got through are
//! listed at the end. `cargo test -p hotadd-cli --test attackers -- --nocapture` prints what held.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod bus;
#[path = "../common/mod.rs"]
mod common;
#[path = "../../../hotadd-service/tests/common/daemon.rs"]
mod daemon;
mod driver;
mod files;
mod partition;
mod party;
mod peer;
#[allow(dead_code, reason = "the daemon's own tests use all of it")]
#[path = "../daemon/stage.rs"]
mod stage;
mod who;
mod wire;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// What is tried: returns how hotadd ended it, or panics with what got through.
type Attempt = Box<dyn FnOnce() -> String + Send>;

/// The attempts of one attacker.
struct Attempts {
    attacker: String,
    list: Vec<(String, Attempt)>,
}

impl Attempts {
    fn by(attacker: impl Into<String>) -> Self {
        Self { attacker: attacker.into(), list: Vec::new() }
    }

    fn add(&mut self, what: impl Into<String>, attempt: impl FnOnce() -> String + Send + 'static) {
        self.list.push((what.into(), Box::new(attempt)));
    }

    /// Tries them all, and says what came of each. Returns those that got through.
    fn run(self) -> Vec<String> {
        // Most of them wait most of the time.
        const AT_ONCE: usize = 6;
        let all = self.list.len();
        let waiting = Mutex::new(self.list.into_iter().enumerate());
        let ended = Mutex::new(Vec::new());
        let work = || {
            loop {
                let next = waiting.lock().unwrap().next();
                let Some((index, (what, attempt))) = next else { return };
                let end = catch_unwind(AssertUnwindSafe(attempt)).map_err(said);
                ended.lock().unwrap().push((index, what, end));
            }
        };
        thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(work))));
        let mut ended = ended.into_inner().unwrap();
        ended.sort_by_key(|(index, ..)| *index);
        let lines = ended.iter().map(|(_, what, end)| match end {
            Ok(how) => format!("held: {what}: {}\n", how.trim()),
            Err(why) => format!("BROKEN: {what}: {why}\n"),
        });
        println!("{}, {all} attempts:\n{}", self.attacker, lines.collect::<String>());
        let broken = ended.into_iter().filter(|(.., end)| end.is_err());
        broken.map(|(_, what, _)| format!("{}: {what}", self.attacker)).collect()
    }
}

/// Tries what these attackers have in mind, one after the other.
fn try_all(attackers: impl IntoIterator<Item = Attempts>) {
    let broken: Vec<_> = attackers.into_iter().flat_map(Attempts::run).collect();
    assert!(broken.is_empty(), "these got through: {broken:#?}");
}

/// What a panic says.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap_or(Box::new("it panicked"))).to_owned(),
    }
}

/// What steers a terminal or sets a log's priority, breaks a line, turns the direction of reading around, or cannot be seen.
const EVIL: &str =
    "<0>\u{1b}[2J\u{9b}H\r\n<1>\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{e0041}\u{3164}!";

/// That none of it comes through to people.
fn is_plain(said: &str) {
    let bad: Vec<char> =
        said.chars().filter(|c| *c != '\n' && !hotadd::text::is_plain(*c)).collect();
    assert!(bad.is_empty(), "{bad:?} came through: {said:?}");
}

/// The same of a log, in which no line begins with a priority that somebody else has chosen.
fn is_clean(log: &str) {
    is_plain(log);
    let forged = log.lines().find(|line| line.starts_with('<'));
    assert_eq!(forged, None, "a line that a log would take for one of a priority");
}
