//! [`verify_party`]: verifies whatever registers with a partition, through a real partition with simulated processors, in this process.
//!
//! | check | found by |
//! |---|---|
//! | `never-registered` | the party was started, and nothing is registered |
//! | `refuses-all`, `refuses-load` | its answers in all scenarios together |
//! | `status-outside-start` | an error where it changes nothing (A6) |
//! | `over-budget` | a call that takes longer than the time limit |
//! | `crash` | a panic, or the end of the party's process or connection (L3) |
//! | `leak-after-...` | [`PartyOptions::outstanding`], which must not grow in equal rounds |
//! | `handle-misuse`, `not-deregistered`, `misuse` | other breaches that the partition reports about the party |
//!
//! The other checks are about functions of Windows. They do not apply.
//!
//! A party of this process that does not return cannot be ended. Its thread is left behind, and the next scenario begins.

mod assemble;
mod play;
mod recorder;
mod scenarios;

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use hotadd::Partition;

pub use self::scenarios::NoSuchPartyScenario;

use self::assemble::Done;
use self::play::Stage;
use self::recorder::{Recorder, panic_message};
use crate::message::Played;
use crate::progress::Progress;
use crate::report::Report;
use crate::scenario::{Depth, Plain};

/// How often a scenario that takes long is looked at.
const TURN: Duration = Duration::from_millis(50);

/// Registers the party with a partition. Dropping what it returns must deregister it. An error is a refusal to register, with the
/// reason.
///
/// It is called several times, on different threads, each time with another partition or after the party was deregistered. Only the
/// scenario "registered-twice" calls it while the party is registered.
pub type Start = Arc<dyn Fn(&Partition) -> Result<Box<dyn Any>, String> + Send + Sync>;

/// Counts what a party keeps, such as blocks of memory or entries of a table.
pub type Outstanding = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a party is verified.
#[derive(Clone)]
pub struct PartyOptions {
    /// How much is tried.
    pub depth: Depth,
    /// Only this scenario, by its name in a report.
    pub scenario: Option<String>,
    /// The seed of everything that is chosen at random.
    pub seed: u64,
    /// How long a call of the party may take.
    pub time_limit: Duration,
    /// The command by which a finding is reproduced: `hotadd verify exec:./ready`. The scenario and the seed are appended. Empty if
    /// there is none.
    pub command: String,
    /// Whether the party answers from another process. Then a call is slow, and 2,048 processors are only tried at the greatest depth.
    pub is_apart: bool,
    /// Counts what the party keeps, if it can be counted. Without it, leaks are not found.
    pub outstanding: Option<Outstanding>,
}

impl Default for PartyOptions {
    /// A normal depth, the seed 1, and a time limit of 2 s.
    fn default() -> Self {
        Self {
            depth: Depth::Normal,
            scenario: None,
            seed: 1,
            time_limit: Duration::from_secs(2),
            command: String::new(),
            is_apart: false,
            outstanding: None,
        }
    }
}

impl fmt::Debug for PartyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartyOptions")
            .field("depth", &self.depth)
            .field("scenario", &self.scenario)
            .field("seed", &self.seed)
            .field("time_limit", &self.time_limit)
            .field("is_apart", &self.is_apart)
            .finish_non_exhaustive()
    }
}

/// Verifies a party. `subject` names it in the report. Calls `tell` after each scenario, on the calling thread.
///
/// ```
/// use std::sync::Arc;
///
/// use hotadd::{Notice, State};
/// use hotadd_verify::party::{PartyOptions, Start, verify_party};
///
/// let start: Start = Arc::new(|partition| {
///     let agree = |notice: &Notice| match notice.state() {
///         State::AddComplete => Err("too late".into()),
///         _ => Ok(()),
///     };
///     let registered = partition.register("late", agree).map_err(|error| error.to_string())?;
///     Ok(Box::new(registered))
/// });
/// let options = PartyOptions { scenario: Some("one-by-one".to_owned()), ..PartyOptions::default() };
/// let report = verify_party("late", &options, &start, |_| ())?;
/// assert_eq!(report.findings[0].check.id, "status-outside-start");
/// # Ok::<(), hotadd_verify::party::NoSuchPartyScenario>(())
/// ```
///
/// # Errors
/// There is no such scenario. What the party does wrong is in the report, and so is why it could not be registered.
pub fn verify_party(
    subject: &str,
    options: &PartyOptions,
    start: &Start,
    tell: impl FnMut(&Progress),
) -> Result<Report, NoSuchPartyScenario> {
    let scenarios = match &options.scenario {
        Some(name) => vec![scenarios::find(name)?],
        None => scenarios::of(options.depth, options.is_apart),
    };
    Ok(play_all(subject, options, &scenarios, start, tell))
}

/// Verifies a party in all scenarios of the depth.
pub(crate) fn verify_all(subject: &str, options: &PartyOptions, start: &Start) -> Report {
    play_all(subject, options, &scenarios::of(options.depth, options.is_apart), start, |_| ())
}

fn play_all(
    subject: &str,
    options: &PartyOptions,
    scenarios: &[&'static Plain],
    start: &Start,
    mut tell: impl FnMut(&Progress),
) -> Report {
    let mut results: Vec<Done> = Vec::new();
    for scenario in scenarios {
        let begun = Instant::now();
        let played = play(scenario, options, start);
        tell(&Progress {
            done: results.len() + 1,
            all: scenarios.len(),
            scenario: scenario.name.to_owned(),
            found: played.found.len(),
        });
        results.push(Done { scenario, played, took: begun.elapsed() });
    }
    assemble::report(subject, options, results)
}

/// Plays one scenario, on a thread of its own: the party may never return.
fn play(scenario: &'static Plain, options: &PartyOptions, start: &Start) -> Played {
    let recorder = Recorder::new(options.time_limit);
    let (over, ended) = channel::<()>();
    let (stage, its, start) = (options.clone(), recorder.clone(), Arc::clone(start));
    let thread = thread::Builder::new().name("hotadd-verify".to_owned()).spawn(move || {
        let _over = over;
        match Stage::new(scenario, &stage, its.clone(), start) {
            Ok(mut stage) => stage.play(scenario.name),
            Err(error) => its.not_run(error.to_string()),
        }
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => {
            recorder.not_run(format!("no thread can be started: {error}"));
            return recorder.take();
        }
    };
    while ended.recv_timeout(TURN) == Err(RecvTimeoutError::Timeout) {
        if recorder.is_stuck() {
            return recorder.take();
        }
    }
    if let Err(panic) = thread.join() {
        recorder
            .find("crash", format!("panics outside of its callbacks: {}", panic_message(&*panic)));
        // A panic's payload may have any type, also one whose drop panics.
        std::mem::forget(panic);
    }
    recorder.take()
}
