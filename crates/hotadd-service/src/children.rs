//! [`Children`]: the one place where this process waits for its children, so that it is known at once how each ended.
//!
//! A process that adopts orphans has children that it did not start, and only waiting for any child at all finds those.
//! Two who wait like that would take each other's answers; so there is one for the whole process.
//!
//! # Why nothing is signalled by mistake
//! A process id may be given to somebody else as soon as its process has been waited for. Children are started, waited for
//! and signalled under one lock: whoever holds it and finds that a child has not been waited for yet holds its id.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process_group,
    pidfd_open,
};

use crate::lock::lock;

/// The exit status of a process of which it is not known how it ended.
const UNKNOWN: i32 = 255;

/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// By itself, with this exit status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Ending {
    /// The exit status that a shell would give.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }

    fn of(status: WaitStatus) -> Self {
        let killed = status.terminating_signal().map(Self::Killed);
        // What is neither is not known, and so no success.
        killed.unwrap_or_else(|| Self::Exited(status.exit_status().unwrap_or(UNKNOWN)))
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Exited(code) => write!(f, "exited with status {code}"),
            Self::Killed(number) => match NAMES.iter().find(|(s, _)| s.as_raw() == number) {
                Some((_, name)) => write!(f, "was killed by {name}"),
                None => write!(f, "was killed by signal {number}"),
            },
        }
    }
}

const NAMES: [(Signal, &str); 26] = [
    (Signal::HUP, "SIGHUP"),
    (Signal::INT, "SIGINT"),
    (Signal::QUIT, "SIGQUIT"),
    (Signal::ILL, "SIGILL"),
    (Signal::TRAP, "SIGTRAP"),
    (Signal::ABORT, "SIGABRT"),
    (Signal::BUS, "SIGBUS"),
    (Signal::FPE, "SIGFPE"),
    (Signal::KILL, "SIGKILL"),
    (Signal::USR1, "SIGUSR1"),
    (Signal::SEGV, "SIGSEGV"),
    (Signal::USR2, "SIGUSR2"),
    (Signal::PIPE, "SIGPIPE"),
    (Signal::ALARM, "SIGALRM"),
    (Signal::TERM, "SIGTERM"),
    (Signal::CHILD, "SIGCHLD"),
    (Signal::CONT, "SIGCONT"),
    (Signal::STOP, "SIGSTOP"),
    (Signal::TSTP, "SIGTSTP"),
    (Signal::TTIN, "SIGTTIN"),
    (Signal::TTOU, "SIGTTOU"),
    (Signal::XCPU, "SIGXCPU"),
    (Signal::XFSZ, "SIGXFSZ"),
    (Signal::VTALARM, "SIGVTALRM"),
    (Signal::PROF, "SIGPROF"),
    (Signal::SYS, "SIGSYS"),
];

/// All children of this process. There is one, [`Children::get`]; nobody else in the process may wait for a child, not even
/// by [`std::process::Child::wait`] or [`Command::output`].
#[derive(Debug, Default)]
pub struct Children {
    state: Mutex<State>,
    /// A child was started: there is somebody to wait for.
    started: Condvar,
    /// A child ended, or the last one did.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those that were started here and have not been waited for.
    running: HashMap<Pid, Arc<Slot>>,
    /// How many were ever started here.
    generation: u64,
    /// There are children, or there may be.
    any: bool,
    /// The thread that waits is there.
    attended: bool,
}

/// How a process is started, where [`Command::spawn`] will not do: on certain processors, for example.
pub type Start = Arc<dyn Fn(&mut Command) -> io::Result<Child> + Send + Sync>;

type OnEnd = Box<dyn FnOnce(Ending) + Send>;

/// What becomes of one child.
#[derive(Default)]
struct Slot(Mutex<Fate>);

#[derive(Default)]
struct Fate {
    ended: Option<(Ending, Instant)>,
    on_end: Vec<OnEnd>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&lock(&self.0).ended).finish()
    }
}

impl Children {
    /// The one there is.
    pub fn get() -> &'static Self {
        static CHILDREN: OnceLock<Children> = OnceLock::new();
        CHILDREN.get_or_init(Self::default)
    }

    /// Starts a child.
    ///
    /// # Errors
    /// As [`Command::spawn`]; also if there can be no thread to wait for it.
    pub fn spawn(&'static self, mut command: Command) -> io::Result<Offspring> {
        self.start(|| command.spawn())
    }

    /// Has `start` start a child, where [`Command::spawn`] alone will not do. It must not wait for a child.
    ///
    /// # Errors
    /// Those of `start`; also if there can be no thread to wait for the child.
    pub fn start(
        &'static self,
        start: impl FnOnce() -> io::Result<Child>,
    ) -> io::Result<Offspring> {
        let mut state = lock(&self.state);
        if !state.attended {
            let thread = std::thread::Builder::new().name("hotadd-reap".to_owned());
            thread.spawn(|| self.attend())?;
            state.attended = true;
        }
        // Under the lock: a child that ends at once is not waited for before it is in the table.
        let began = Instant::now();
        let mut child = start()?;
        let pid = Pid::from_child(&child);
        let slot = Arc::new(Slot::default());
        state.running.insert(pid, Arc::clone(&slot));
        state.generation += 1;
        state.any = true;
        self.started.notify_all();
        Ok(Offspring {
            pid,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            // Old kernels have none.
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            children: self,
            slot,
            began,
        })
    }

    /// Waits until no child is left, adopted ones included. False if one still is after `timeout`.
    #[must_use]
    pub fn childless(&self, timeout: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self.ended.wait_timeout_while(state, timeout, |state| state.any);
        !waited.unwrap_or_else(PoisonError::into_inner).0.any
    }

    /// Waits for children as long as the process lives.
    fn attend(&self) {
        loop {
            let generation = lock(&self.state).generation;
            // Only looks. Who ended is found out under the lock.
            match rustix::process::waitid(
                WaitId::All,
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            ) {
                Err(Errno::INTR) => {}
                Ok(_) => self.reap(),
                Err(_) => self.rest(generation),
            }
        }
    }

    /// Waits for all that have ended.
    fn reap(&self) {
        let mut listeners = Vec::new();
        let mut state = lock(&self.state);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            // An adopted one is of no interest once it is gone.
            let Some(slot) = state.running.remove(&pid) else { continue };
            let ending = Ending::of(status);
            let mut fate = lock(&slot.0);
            fate.ended = Some((ending, Instant::now()));
            listeners.extend(fate.on_end.drain(..).map(|listener| (listener, ending)));
        }
        self.ended.notify_all();
        drop(state);
        for (listener, ending) in listeners {
            listener(ending);
        }
    }

    /// There is no child: sleeps until one is started. A process without children cannot come by an orphan.
    fn rest(&self, generation: u64) {
        let mut state = lock(&self.state);
        if state.generation != generation {
            // One was started after we looked.
            return;
        }
        state.any = false;
        self.ended.notify_all();
        let woken = self.started.wait_while(state, |state| state.generation == generation);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A child that was started here. Dropping it changes nothing for the child.
#[derive(Debug)]
pub struct Offspring {
    /// Its process id. It may belong to somebody else once the child has ended.
    pub pid: Pid,
    /// Our end of its stdin, if it was made a pipe.
    pub stdin: Option<ChildStdin>,
    /// Our end of its stdout, if it was made a pipe.
    pub stdout: Option<ChildStdout>,
    /// Our end of its stderr, if it was made a pipe.
    pub stderr: Option<ChildStderr>,
    pidfd: Option<OwnedFd>,
    children: &'static Children,
    slot: Arc<Slot>,
    began: Instant,
}

impl Offspring {
    /// How it ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        lock(&self.slot.0).ended.map(|(ending, _)| ending)
    }

    /// How long it ran, if it has ended.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        lock(&self.slot.0).ended.map(|(_, at)| at.duration_since(self.began))
    }

    /// Waits until it ends, at most so long.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Ending> {
        let state = lock(&self.children.state);
        let runs = |_: &mut State| self.ending().is_none();
        drop(self.children.ended.wait_timeout_while(state, timeout, runs));
        self.ending()
    }

    /// Calls `listener` when it ends, from the thread that waits for all children: it must not block. At once if it has
    /// ended.
    pub fn on_end(&self, listener: impl FnOnce(Ending) + Send + 'static) {
        let mut fate = lock(&self.slot.0);
        match fate.ended {
            None => fate.on_end.push(Box::new(listener)),
            Some((ending, _)) => {
                drop(fate);
                listener(ending);
            }
        }
    }

    /// Ends it with all that it has started, and waits until it is gone, but not for a kernel that is busy on its behalf.
    pub(crate) fn end(&self) {
        self.kill_group(Signal::KILL);
        let _ = self.wait_timeout(GONE);
    }

    /// Sends a signal to the process group that it leads, if it leads one and has not ended.
    pub fn kill_group(&self, signal: Signal) {
        let _held = lock(&self.children.state);
        if self.ending().is_none() {
            // It may lead none yet, or no more.
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Becomes readable when it ends, where the kernel has such a thing.
    #[must_use]
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}

/// Why a process could not be started. Where it is this machine that has no room for one more, that is said, with what to look at: the
/// program is not to blame.
pub(crate) fn not_started(error: &io::Error) -> String {
    let of = |what: &str| format!("this machine lets us start no further process: {error}; {what}");
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AGAIN) => {
            of("it is the limit of processes (TasksMax= of the unit, `ulimit -u`)")
        }
        Some(Errno::MFILE) => {
            of("it is the limit of descriptors (LimitNOFILE= of the unit, `ulimit -n`)")
        }
        Some(Errno::NFILE) => of("all of the machine's descriptors are in use (fs.file-max)"),
        Some(Errno::NOMEM) => of("there is no memory for it"),
        _ => format!("it cannot be run: {error}"),
    }
}
