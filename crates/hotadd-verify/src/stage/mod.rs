//! The process of one scenario. The verifier starts it, sends it a job, and reads what happened. The driver's code runs here, confined, and
//! may end the process.

mod classify;
mod ledger;
mod play;
mod recorder;

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Partition};
use hotadd_nt::{Options, World, pool, probe, sandbox, set_group_size};
use rustix::stdio::dup2_stdout;

use self::play::Stage;
use self::recorder::Recorder;
use crate::message::{Job, Played};
use crate::random::Random;
use crate::scenario::{Scenario, Set};

/// The longest job.
const MOST: u64 = 64 * 1024;

/// Plays one scenario: reads the job from stdin, and writes what happened to stdout.
#[must_use]
pub fn run() -> ExitCode {
    // Nothing else is open that this process needs.
    let closed = sandbox::close_inherited().map_err(|error| error.to_string());
    let Ok(output) = take_stdout() else { return ExitCode::FAILURE };
    let played = output.try_clone().map_err(|error| error.to_string());
    match closed.and(played).and_then(play) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The verifier reads this, unless it has ended.
            let played = Played { not_run: Some(why), ..Played::default() };
            let _ = serde_json::to_writer(&output, &played);
            ExitCode::FAILURE
        }
    }
}

fn play(output: File) -> Result<(), String> {
    let mut text = String::new();
    let read = io::stdin().take(MOST).read_to_string(&mut text);
    read.map_err(|error| format!("the job cannot be read: {error}"))?;
    let job: Job = serde_json::from_str(&text).map_err(|error| format!("no job: {error}"))?;
    let scenario: Scenario =
        job.scenario.parse().map_err(|error: crate::NoSuchScenario| error.to_string())?;
    let failed = |error: sandbox::SandboxError| error.to_string();
    let file = hotadd_nt::File::read(&job.file).map_err(|error| error.to_string())?;
    let inspection = file.inspect().map_err(|error| error.to_string())?;
    if let Some(framework) = inspection.frameworks.iter().find(|one| one.at_start) {
        return Err(format!("it is a driver for {}, which hotadd does not host", framework.name));
    }
    sandbox::drop_privileges().map_err(failed)?;
    let forbidden = output.try_clone().map_err(|error| error.to_string())?;
    sandbox::restrict(Box::new(move |_, what| {
        // In a signal handler: nothing may be allocated.
        let _ = (&forbidden).write_fmt(format_args!("fault {what}\n"));
    }))
    .map_err(failed)?;
    let images = (0..play::IMAGES).map(|_| file.load(Options::default()));
    let images = images.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let set = scenario.set();
    let mut random = Random::new(job.seed);
    let (active, spare) = ids(set, &mut random);
    let hardware = Simulated::with_ids(active.iter().copied(), spare.iter().copied());
    let hardware = hardware.map_err(|error| error.to_string())?;
    let partition = Partition::simulated(&hardware).map_err(|error| error.to_string())?;
    let failing = match &scenario {
        Scenario::Failing(failing) => Some(failing.clone()),
        Scenario::Plain(_) => None,
    };
    let send = move |played: &Played| {
        let text = serde_json::to_vec(played).unwrap_or_default();
        let _ = (&output).write_all(&text);
    };
    let send = Arc::new(send);
    let recorder = Recorder::new(
        failing,
        Box::new({
            let send = Arc::clone(&send);
            move |played| send(played)
        }),
    );
    if set.active + set.spare > set.group {
        recorder.several_groups(set.active > set.group);
    }
    set_group_size(set.group);
    pool::guard();
    let world = World {
        partition: partition.clone(),
        name: play::DRIVER.to_owned(),
        time_limit: Duration::from_millis(job.limit),
        level: 0,
        real: false,
        console: Box::new(recorder.clone()),
    };
    world.begin().map_err(|_| "this process has a world already".to_owned())?;
    probe::install(Box::new(recorder.clone()))
        .map_err(|_| "this process has a probe already".to_owned())?;
    sandbox::confine().map_err(failed)?;
    let (loaded, lost) = (None, Vec::new());
    let mut stage =
        Stage { hardware, partition, recorder, images, set, active, spare, random, loaded, lost };
    let play = move || {
        recorder::record_this_thread();
        stage.play(&scenario);
        send(&stage.recorder.played());
        // Images that were never used are dropped with the process.
        std::mem::forget(stage);
    };
    // Not on the first thread: the end of its stack is read from a file, which cannot be opened any more.
    let thread = std::thread::Builder::new().name("hotadd-driver".to_owned()).spawn(play);
    let thread = thread.map_err(|error| format!("no thread can be started: {error}"))?;
    thread.join().map_err(|_| "internal error: the scenario's thread panicked".to_owned())
}

/// The hardware ids of a set.
fn ids(set: Set, random: &mut Random) -> (Vec<HardwareId>, Vec<HardwareId>) {
    let mut next = 0;
    let mut all: Vec<HardwareId> = Vec::new();
    for _ in 0..set.active + set.spare {
        all.push(HardwareId(next));
        next += 1;
        if set.sparse {
            next += u32::try_from(random.below(40)).unwrap_or(0);
        }
    }
    let spare = all.split_off(set.active as usize);
    (all, spare)
}

/// Takes stdout for the result. What else writes there goes to stderr.
fn take_stdout() -> io::Result<File> {
    let taken = io::stdout();
    let taken = taken.as_fd().try_clone_to_owned()?;
    dup2_stdout(io::stderr())?;
    Ok(File::from(taken))
}
