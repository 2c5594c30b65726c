//! One run of every attack that the threat model names (docs/threat-model.md), against the program as it is
//! installed.
//!
//! Each attempt prints one line: the attack, and how hotadd ended it. All attempts run, and those that
//! succeeded are listed at the end. `cargo test -p hotadd-cli --test attackers -- --nocapture` shows the
//! lines.
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

/// An attack. Returns how hotadd ended it, or panics if it succeeded.
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

    /// Runs all attempts and prints their outcomes. Returns those that succeeded.
    fn run(self) -> Vec<String> {
        // Most attempts mostly wait.
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

/// Runs the attempts of these attackers, one attacker after the other.
fn try_all(attackers: impl IntoIterator<Item = Attempts>) {
    let broken: Vec<_> = attackers.into_iter().flat_map(Attempts::run).collect();
    assert!(broken.is_empty(), "these attacks succeeded: {broken:#?}");
}

/// The message of a panic.
fn said(panic: Box<dyn Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap_or(Box::new("it panicked"))).to_owned(),
    }
}

/// Characters that control a terminal, set a log's priority, break a line, change the direction of text, or
/// are invisible.
const EVIL: &str =
    "<0>\u{1b}[2J\u{9b}H\r\n<1>\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}\u{e0041}\u{3164}!";

/// Checks that none of these characters reach a user.
fn is_plain(said: &str) {
    let bad: Vec<char> =
        said.chars().filter(|c| *c != '\n' && !hotadd::text::is_plain(*c)).collect();
    assert!(bad.is_empty(), "{bad:?} is shown: {said:?}");
}

/// The same for a log, in which no line may begin with a priority chosen by another.
fn is_clean(log: &str) {
    is_plain(log);
    let forged = log.lines().find(|line| line.starts_with('<'));
    assert_eq!(forged, None, "a line that a log would read as having a priority");
}
