//! [`verify`]: plays all scenarios, each in a process of its own, and makes the report of what happened.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::message::{Found, Job, Played};
use crate::progress::Progress;
use crate::report::{Injected, Place, Report};
use crate::scenario::{DRY, Depth, NoSuchScenario, Point, Scenario};

mod assemble;

/// How a driver is verified.
#[derive(Clone, Debug)]
pub struct Options {
    /// The command that plays a scenario: a program and its arguments, such as `hotadd verify-stage`.
    pub stage: Vec<std::ffi::OsString>,
    /// How much is tried.
    pub depth: Depth,
    /// Only this scenario, by its name in a report.
    pub scenario: Option<String>,
    /// The seed of everything that is chosen at random.
    pub seed: u64,
    /// How long a callback may take.
    pub time_limit: Duration,
    /// How many scenarios are played side by side.
    pub side_by_side: usize,
    /// The command by which a finding is reproduced: `hotadd verify driver.sys`. The scenario and the seed are appended.
    pub command: String,
}

/// Why a driver cannot be verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// There is no scenario of this name.
    #[error(transparent)]
    NoSuchScenario(#[from] NoSuchScenario),
    /// A process for a scenario cannot be started.
    #[error("a scenario's process cannot be started: {0}")]
    Stage(std::io::Error),
}

/// The longest result of a scenario.
const LONGEST: u64 = 16 << 20;
/// How long a scenario may take, beyond the time limits of its callbacks.
const PATIENCE: Duration = Duration::from_secs(60);

/// A scenario, and what happened in it.
struct Done {
    scenario: Scenario,
    played: Played,
    took: Duration,
}

/// Verifies a driver's file. Calls `tell` after each scenario, on the calling thread.
///
/// # Errors
/// There is no such scenario, or no process can be started for one. What the driver does wrong is in the report.
pub fn verify(
    file: &Path,
    options: &Options,
    mut tell: impl FnMut(&Progress),
) -> Result<Report, VerifyError> {
    let mut results = BTreeMap::new();
    let mut order: Vec<Scenario> = match &options.scenario {
        // Some findings are made by comparing with the plainest scenario.
        Some(name) => {
            let asked = name.parse()?;
            let plainest = Scenario::Plain(DRY);
            if asked == plainest { vec![asked] } else { vec![plainest, asked] }
        }
        None => Scenario::plain(options.depth).collect(),
    };
    let mut injected = Vec::new();
    let mut begun = 0;
    while begun < order.len() {
        let from = begun;
        begun = order.len();
        let total = order.len();
        let mut points = Vec::new();
        play_all(file, &order[from..], options, |at, result| {
            if result.scenario == Scenario::Plain(DRY) {
                points.clone_from(&result.played.points);
            }
            results.insert(from + at, result);
            let last = &results[&(from + at)];
            tell(&Progress {
                done: results.len(),
                all: total,
                scenario: last.scenario.to_string(),
                found: last.played.found.len(),
            });
        })?;
        if options.scenario.is_none() && injected.is_empty() {
            let more = failing(&points, options.depth);
            order.extend(more.iter().map(|(scenario, _)| scenario.clone()));
            injected = more;
        }
    }
    if let Some(asked @ Scenario::Failing(one)) =
        order.last().filter(|_| options.scenario.is_some())
    {
        injected.push((asked.clone(), injected_at(&one.point, file)));
    }
    let results: Vec<Done> = results.into_values().collect();
    Ok(assemble::report(file, options, results, &injected))
}

/// The scenarios with failing calls, and the calls.
fn failing(points: &[(String, Option<Place>, u32)], depth: Depth) -> Vec<(Scenario, Place)> {
    let mut all = Vec::new();
    for (name, place, calls) in points {
        let Ok(point) = name.parse::<Point>() else { continue };
        let place = place.clone().unwrap_or_default();
        all.extend(
            Scenario::failing(&point, *calls, depth).into_iter().map(|one| (one, place.clone())),
        );
    }
    all
}

/// The position of a call that is known only from a scenario's name.
fn injected_at(point: &Point, file: &Path) -> Place {
    let module = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Place { module, offset: point.stack.first().copied().unwrap_or(0), ..Place::default() }
}

/// Plays scenarios side by side, and passes on each result with its number.
fn play_all(
    file: &Path,
    scenarios: &[Scenario],
    options: &Options,
    mut each: impl FnMut(usize, Done),
) -> Result<(), VerifyError> {
    let open: VecDeque<(usize, Scenario)> = scenarios.iter().cloned().enumerate().collect();
    let open = Arc::new(Mutex::new(open));
    let (sender, results) = channel();
    let workers = options.side_by_side.clamp(1, 16).min(scenarios.len());
    for _ in 0..workers {
        let (open, sender, options, file) =
            (Arc::clone(&open), sender.clone(), options.clone(), file.to_owned());
        thread::spawn(move || work(&file, &options, &open, &sender));
    }
    drop(sender);
    for (at, result) in results {
        match result {
            Ok(result) => each(at, result),
            Err(error) => {
                // The others end with the scenarios that they have begun.
                open.lock().unwrap_or_else(PoisonError::into_inner).clear();
                return Err(VerifyError::Stage(error));
            }
        }
    }
    Ok(())
}

type Sent = (usize, std::io::Result<Done>);

fn work(
    file: &Path,
    options: &Options,
    open: &Mutex<VecDeque<(usize, Scenario)>>,
    sender: &Sender<Sent>,
) {
    loop {
        let next = open.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let Some((at, scenario)) = next else { return };
        let begun = Instant::now();
        let played = play(file, &scenario, options);
        let result = played.map(|played| Done { scenario, played, took: begun.elapsed() });
        if sender.send((at, result)).is_err() {
            return;
        }
    }
}

/// Plays one scenario in a process of its own.
fn play(file: &Path, scenario: &Scenario, options: &Options) -> std::io::Result<Played> {
    let limit = u64::try_from(options.time_limit.as_millis()).unwrap_or(u64::MAX);
    let job =
        Job { file: absolute(file), scenario: scenario.to_string(), seed: options.seed, limit };
    let job = serde_json::to_vec(&job)?;
    let (program, arguments) =
        options.stage.split_first().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    // If it has ended already, its output says why.
    let _ = input.map(|mut input| input.write_all(&job));
    let child = Arc::new(Mutex::new(child));
    let (over, ended) = channel::<()>();
    let watched = Arc::clone(&child);
    let patience = PATIENCE + options.time_limit * 4;
    let watch = thread::spawn(move || {
        if ended
            .recv_timeout(patience)
            .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let _ = lock(&watched).kill();
        }
    });
    let mut text = Vec::new();
    let read = output.map_or(Ok(0), |output| output.take(LONGEST).read_to_end(&mut text));
    drop(over);
    let _ = watch.join();
    let status = lock(&child).wait()?;
    read?;
    // A driver's thread may fail while the result is written: then there are two, and the first is complete.
    let mut results = serde_json::Deserializer::from_slice(&text).into_iter();
    let first = results.next().and_then(Result::ok);
    Ok(first.unwrap_or_else(|| broken(&String::from_utf8_lossy(&text), status)))
}

fn lock(child: &Mutex<Child>) -> std::sync::MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The result of a process that ended without one.
fn broken(text: &str, status: std::process::ExitStatus) -> Played {
    let what = match text.trim().strip_prefix("fault ") {
        Some(what) => what.to_owned(),
        None => format!("ends its process without a report ({status})"),
    };
    let (check, otherwise) = ("crash".to_owned(), None);
    let found = Found { check, otherwise, what, place: None, origin: None, step: 0 };
    Played { found: vec![found], ..Played::default() }
}

fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The calls that were made to fail, for the report.
fn injected(all: &[(Scenario, Place)], results: &[Done]) -> Vec<Injected> {
    let one = |(scenario, place): &(Scenario, Place)| {
        let Scenario::Failing(failing) = scenario else { return None };
        let result = results.iter().find(|result| result.scenario == *scenario);
        Some(Injected {
            function: failing.point.function.clone(),
            place: place.clone(),
            phase: failing.point.phase.word().to_owned(),
            scenario: scenario.to_string(),
            reached: result.is_some_and(|result| result.played.reached),
        })
    };
    all.iter().filter_map(one).collect()
}
