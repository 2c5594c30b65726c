//! [`Script`]: a driver that is a program, or a folder of programs, started for every notice.

mod find;
mod program;
mod tail;

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hotadd::{Driver, Notice, Removal, State, Veto};

pub use self::find::ScriptError;
use self::program::Program;
use crate::children::Start;

/// The default time limit of a program.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// A driver that is a program, or a folder of programs that run in the order of their names; all of them must agree.
///
/// The program is started for every notice, never through a shell, in `/`, with two arguments: the [state](word), and the
/// hardware id of the processor. Exit status 0 agrees. Any other exit status refuses, and the last line on stderr is the
/// reason. A program that is ended by a signal or exceeds its time limit has crashed: that counts as a refusal, and the whole
/// script is deregistered (L3). A program that exceeds its time limit is killed with its process group. Its stdout goes to
/// this process's stderr. The program inherits no descriptor that this process opened. It inherits those that were open
/// without close-on-exec when this process started.
///
/// Its environment is exactly:
///
/// | variable | |
/// |---|---|
/// | `PATH` | `/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin` |
/// | `LANG` | `C.UTF-8` |
/// | `HOTADD_STATE` | `add-start`, `add-complete`, `add-failure`, `remove-start`, `remove-complete` or `remove-failure` |
/// | `HOTADD_INDEX`, `HOTADD_GROUP`, `HOTADD_NUMBER`, `HOTADD_ID` | the processor: its index, its group and number there, and what the platform calls it |
/// | `HOTADD_EPOCH` | the epoch of the active set in force |
/// | `HOTADD_STATUS`, `HOTADD_STATUS_NAME` | in the Failure states why: `0xC000009A` and its name, which may be empty; else `0x00000000` |
/// | `HOTADD_SURPRISE` | 1 if the processor left without asking, else 0 |
/// | `HOTADD_REPLAY` | 1 if the script is registering and the processor was active before (Q5), else 0 |
///
/// In a folder the programs are the executable files whose names consist of letters, digits, `.`, `_` and `-`, except hidden
/// files and the backups of editors and package managers. If one refuses an `add-start`, the programs that had agreed before
/// it get `add-failure`, last first: the partition treats the folder as one party, and a party that refuses has undone its own
/// preparations (A3). The time limit applies to each program.
///
/// Register it to be [asked at once](hotadd::RegistrationBuilder::at_once) with others.
///
/// ```no_run
/// # fn f(partition: &hotadd::Partition) -> Result<(), Box<dyn std::error::Error>> {
/// use hotadd_service::script::Script;
///
/// let script = Script::new("/etc/hotadd/before-add".as_ref())?;
/// let _registration = partition.registration("before-add").at_once().register(script)?;
/// # Ok(())
/// # }
/// ```
pub struct Script {
    start: Start,
    programs: Arc<[Program]>,
    /// The programs are those of a folder, and reasons name them.
    is_folder: bool,
    time_limit: Duration,
    /// An answer in progress.
    begun: Option<(Notice, JoinHandle<Answer>)>,
    took: Option<Duration>,
}

type Answer = (Result<(), Veto>, Duration);

impl Script {
    /// A program, or a folder of programs. The folder is read now and not again.
    ///
    /// # Errors
    /// If there is nothing that can be run, or if other users may change what would be run.
    pub fn new(path: &Path) -> Result<Self, ScriptError> {
        let found = find::find(path)?;
        Ok(Self {
            start: Arc::new(Command::spawn),
            programs: found.programs.into_iter().map(Program::new).collect(),
            is_folder: found.is_folder,
            time_limit: TIME_LIMIT,
            begun: None,
            took: None,
        })
    }

    /// Sets the time limit of each program.
    #[must_use]
    pub const fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    /// Sets how the programs are started.
    #[must_use]
    pub fn started_by(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// The names of the programs, in the order in which they run.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(|program| &*program.name)
    }

    /// Returns a function that runs the programs and computes the answer.
    fn work(&self, notice: &Notice) -> impl FnOnce() -> Answer + Send + 'static {
        let (programs, is_folder) = (Arc::clone(&self.programs), self.is_folder);
        let (limit, notice, start) = (self.time_limit, *notice, Arc::clone(&self.start));
        move || {
            let began = Instant::now();
            let answer = match &*programs {
                [program] if !is_folder => program.run(&notice, limit, &start),
                all => run_all(all, &notice, limit, &start),
            };
            (answer, began.elapsed())
        }
    }

    fn answer(&mut self, notice: &Notice) -> Result<(), Veto> {
        let (answer, took) = match self.begun.take() {
            Some((begun, thread)) if begun == *notice => {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            _ => self.work(notice)(),
        };
        self.took = Some(took);
        answer
    }
}

/// Runs the programs of a folder.
fn run_all(
    programs: &[Program],
    notice: &Notice,
    limit: Duration,
    start: &Start,
) -> Result<(), Veto> {
    let mut answer = Ok(());
    for (position, program) in programs.iter().enumerate() {
        let Err(veto) = program.run(notice, limit, start) else { continue };
        let veto = named(&program.name, &veto);
        let Some(undo) = undo(notice, &veto) else {
            // The notice cannot be refused, and the other programs must be told as well. The first failure is reported.
            answer = answer.and(Err(veto));
            continue;
        };
        for agreed in programs[..position].iter().rev() {
            // A failure here changes nothing: the answer is a refusal.
            let _ = agreed.run(&undo, limit, start);
        }
        return Err(veto);
    }
    answer
}

/// The notice that undoes a refused one, if there is such a notice.
fn undo(notice: &Notice, veto: &Veto) -> Option<Notice> {
    let state = match notice.state() {
        State::AddStart => State::AddFailure,
        State::RemoveStart => State::RemoveFailure,
        _ => return None,
    };
    let undo = Notice::new(state, notice.processor()).with_failure(veto.status(), None);
    let undo = undo.at_epoch(notice.epoch());
    Some(if notice.is_replay() { undo.as_replay() } else { undo })
}

fn named(name: &str, veto: &Veto) -> Veto {
    let reason = format!("{name}: {}", veto.reason());
    match veto.is_crash() {
        true => Veto::crash(veto.status(), reason),
        false => Veto::new(veto.status(), reason),
    }
}

impl Driver for Script {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.answer(notice)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }

    fn begin(&mut self, notice: &Notice) {
        let thread = std::thread::Builder::new().name("hotadd-script".to_owned());
        // If no thread can be started, `notify` does all of the work.
        self.begun = thread.spawn(self.work(notice)).ok().map(|thread| (*notice, thread));
    }

    fn answered_in(&self) -> Option<Duration> {
        self.took
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.answer(notice)
    }
}

impl Removal for Script {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.answer(notice)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The answer was begun and never asked for. Nothing may run after deregistering returns (D1).
        if let Some((_, thread)) = self.begun.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("programs", &self.programs)
            .field("time_limit", &self.time_limit)
            .finish_non_exhaustive()
    }
}

/// The name of a state in arguments: `add-start` and so on.
#[must_use]
pub const fn word(state: State) -> &'static str {
    match state {
        State::AddStart => "add-start",
        State::AddComplete => "add-complete",
        State::AddFailure => "add-failure",
        State::RemoveStart => "remove-start",
        State::RemoveComplete => "remove-complete",
        State::RemoveFailure => "remove-failure",
    }
}
