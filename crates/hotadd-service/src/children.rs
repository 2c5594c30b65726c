//! [`Children`]: the only place where this process waits for its children, so that the end of each is known at once.
//!
//! A process that adopts orphans has children that it did not start, and only waiting for any child finds those. Two
//! threads that wait for any child would take each other's results. So there is one for the whole process.
//!
//! # Why nothing is signalled by mistake
//! The kernel may reuse a process id as soon as its process has been waited for. Children are started, waited for and
//! signalled under one lock. So a thread that holds the lock and finds that a child has not been waited for yet knows that
//! the process id is still the child's.

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

/// The exit status if it is not known how a process ended.
const UNKNOWN: i32 = 255;

/// How long a killed process may take to end.
const GONE: Duration = Duration::from_secs(1);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It exited with this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Ending {
    /// The exit status that a shell would report.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }

    fn of(status: WaitStatus) -> Self {
        let killed = status.terminating_signal().map(Self::Killed);
        // Any other way of ending is unknown, and so counts as a failure.
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

/// All children of this process. There is one instance, [`Children::get`]. No other code in the process may wait for a
/// child, not even by [`std::process::Child::wait`] or [`Command::output`].
#[derive(Debug, Default)]
pub struct Children {
    state: Mutex<State>,
    /// Notified when a child was started.
    started: Condvar,
    /// Notified when a child ended, and when no child is left.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The children that were started here and have not been waited for.
    running: HashMap<Pid, Arc<Slot>>,
    /// The number of children ever started here.
    generation: u64,
    /// There are children, or there may be.
    any: bool,
    /// The waiting thread runs.
    attended: bool,
}

/// How a process is started where [`Command::spawn`] is not enough: on certain processors, for example.
pub type Start = Arc<dyn Fn(&mut Command) -> io::Result<Child> + Send + Sync>;

type OnEnd = Box<dyn FnOnce(Ending) + Send>;

/// The state of one child.
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
    /// The only instance.
    pub fn get() -> &'static Self {
        static CHILDREN: OnceLock<Children> = OnceLock::new();
        CHILDREN.get_or_init(Self::default)
    }

    /// Starts a child.
    ///
    /// # Errors
    /// If [`Command::spawn`] fails, or if no thread to wait for the child can be started.
    pub fn spawn(&'static self, mut command: Command) -> io::Result<Offspring> {
        self.start(|| command.spawn())
    }

    /// Lets `start` start a child, where [`Command::spawn`] alone is not enough. `start` must not wait for a child.
    ///
    /// # Errors
    /// Those of `start`; also if no thread to wait for the child can be started.
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
        // Under the lock, so that a child that ends at once is not waited for before it is in the table.
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
            // Old kernels have no pidfd.
            pidfd: pidfd_open(pid, PidfdFlags::empty()).ok(),
            children: self,
            slot,
            began,
        })
    }

    /// Waits until no child is left, adopted ones included. Returns false if one is left after `timeout`.
    #[must_use]
    pub fn childless(&self, timeout: Duration) -> bool {
        let state = lock(&self.state);
        let waited = self.ended.wait_timeout_while(state, timeout, |state| state.any);
        !waited.unwrap_or_else(PoisonError::into_inner).0.any
    }

    /// Waits for children for the lifetime of the process.
    fn attend(&self) {
        loop {
            let generation = lock(&self.state).generation;
            // This only waits for an end. `reap` finds out under the lock which child ended.
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

    /// Waits for all children that have ended.
    fn reap(&self) {
        let mut listeners = Vec::new();
        let mut state = lock(&self.state);
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            // An adopted child is not in the table, and its end is ignored.
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

    /// There is no child: sleeps until one is started. A process without children cannot adopt an orphan.
    fn rest(&self, generation: u64) {
        let mut state = lock(&self.state);
        if state.generation != generation {
            // A child was started after `generation` was read.
            return;
        }
        state.any = false;
        self.ended.notify_all();
        let woken = self.started.wait_while(state, |state| state.generation == generation);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }
}

/// A child that was started here. Dropping this does not affect the child.
#[derive(Debug)]
pub struct Offspring {
    /// The child's process id. The kernel may reuse it once the child has ended.
    pub pid: Pid,
    /// This process's end of the child's stdin, if it was made a pipe.
    pub stdin: Option<ChildStdin>,
    /// This process's end of the child's stdout, if it was made a pipe.
    pub stdout: Option<ChildStdout>,
    /// This process's end of the child's stderr, if it was made a pipe.
    pub stderr: Option<ChildStderr>,
    pidfd: Option<OwnedFd>,
    children: &'static Children,
    slot: Arc<Slot>,
    began: Instant,
}

impl Offspring {
    /// How the child ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        lock(&self.slot.0).ended.map(|(ending, _)| ending)
    }

    /// How long the child ran, if it has ended.
    #[must_use]
    pub fn lasted(&self) -> Option<Duration> {
        lock(&self.slot.0).ended.map(|(_, at)| at.duration_since(self.began))
    }

    /// Waits until the child ends, for at most `timeout`.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Ending> {
        let state = lock(&self.children.state);
        let runs = |_: &mut State| self.ending().is_none();
        drop(self.children.ended.wait_timeout_while(state, timeout, runs));
        self.ending()
    }

    /// Calls `listener` when the child ends, on the thread that waits for all children: it must not block. If the child
    /// has ended already, `listener` is called at once.
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

    /// Kills the child and its process group, and waits until it has ended, but not longer than a second: the kernel may
    /// be busy on its behalf.
    pub(crate) fn end(&self) {
        self.kill_group(Signal::KILL);
        let _ = self.wait_timeout(GONE);
    }

    /// Sends a signal to the process group that the child leads, if it leads one and has not ended.
    pub fn kill_group(&self, signal: Signal) {
        let _held = lock(&self.children.state);
        if self.ending().is_none() {
            // The child may not lead a group yet, or not any more.
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// A descriptor that becomes readable when the child ends, if the kernel supports pidfds.
    #[must_use]
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}

/// Why a process could not be started. If this machine has no room for one more, the text says so, and which limit to check: the
/// program is not at fault.
pub(crate) fn not_started(error: &io::Error) -> String {
    let of =
        |what: &str| format!("no more processes can be started on this machine: {error}; {what}");
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::AGAIN) => {
            of("the limit of processes is reached (TasksMax= of the unit, `ulimit -u`)")
        }
        Some(Errno::MFILE) => {
            of("the limit of descriptors is reached (LimitNOFILE= of the unit, `ulimit -n`)")
        }
        Some(Errno::NFILE) => of("all of the machine's descriptors are in use (fs.file-max)"),
        Some(Errno::NOMEM) => of("there is not enough memory"),
        _ => format!("it cannot be run: {error}"),
    }
}
