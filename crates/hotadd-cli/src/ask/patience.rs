//! [`Patience`]: how long a command waits for a partition. Ctrl-C ends the wait at once.

use std::fs;
use std::future::{Future, pending};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// How long a partition may take for an answer that it can give at once.
const USUAL: Duration = Duration::from_secs(5);

/// How long a command waits.
pub(super) struct Patience {
    /// The time limit that was given.
    given: Option<Duration>,
    began: Instant,
    /// `None` if this process was started with Ctrl-C ignored.
    interrupts: Option<Mutex<Signal>>,
}

/// Why a wait ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Late,
    Interrupted,
}

/// The partition's process as the kernel reports it.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) place: PathBuf,
    /// 0 if it is in another container.
    pub(crate) pid: i32,
}

impl Patience {
    /// Starts now. Must be called on the runtime.
    pub(super) fn new(given: Option<Duration>) -> io::Result<Self> {
        let interrupts = (!is_set_aside()).then(|| signal(SignalKind::interrupt())).transpose()?;
        Ok(Self { given, began: Instant::now(), interrupts: interrupts.map(Mutex::new) })
    }

    /// How long an answer may take if it waits for no party.
    pub(super) fn limit(&self) -> Duration {
        self.given.unwrap_or(USUAL)
    }

    /// When a command that waits for no party must have ended.
    pub(super) fn end(&self) -> Option<Instant> {
        Some(self.began + self.limit())
    }

    /// The same for a command that waits for parties, which have time limits of their own: no end, unless a time limit was given.
    pub(super) fn end_with_parties(&self) -> Option<Instant> {
        self.given.map(|given| Instant::now() + given)
    }

    /// Waits for an answer until the given time.
    pub(super) async fn wait<T>(
        &self,
        until: Option<Instant>,
        what: impl Future<Output = T>,
    ) -> Result<T, Over> {
        let what = async {
            match until {
                Some(until) => timeout_at(until, what).await.map_err(|_| Over::Late),
                None => Ok(what.await),
            }
        };
        tokio::select! {
            biased;
            () = self.interrupted() => Err(Over::Interrupted),
            outcome = what => outcome,
        }
    }

    async fn interrupted(&self) {
        match &self.interrupts {
            Some(interrupts) => drop(interrupts.lock().await.recv().await),
            None => pending().await,
        }
    }
}

/// Whether this process was started with SIGINT ignored, as a shell starts background processes.
fn is_set_aside() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 0b10 != 0)
}

/// The message that a partition does not answer: which process it is, and what to do.
pub(crate) fn silent(process: Option<&Process>, limit: Duration) -> String {
    let within = humantime::format_duration(limit);
    let longer = "--timeout waits longer";
    let Some(Process { place, pid }) = process else {
        return format!("no answer within {within}; {longer}");
    };
    let place = place.display();
    match pid {
        0 => format!("the partition at {place} does not answer within {within}; {longer}"),
        pid if is_stopped(*pid) => format!(
            "the partition at {place} does not answer within {within}, because its process {pid} is \
             stopped; `kill -CONT {pid}` resumes it, `kill -KILL {pid}` ends it"
        ),
        pid => format!(
            "the partition at {place}, process {pid}, does not answer within {within}; it may be busy: {longer}, \
             and `kill {pid}` ends it"
        ),
    }
}

/// Whether a process was stopped by a signal or a debugger.
fn is_stopped(pid: i32) -> bool {
    let stat = Path::new("/proc").join(pid.to_string()).join("stat");
    let stat = fs::read_to_string(stat).unwrap_or_default();
    // The state follows the process's name, which may have any characters.
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}
