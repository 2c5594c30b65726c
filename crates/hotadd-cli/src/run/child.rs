//! The command that a run is about: starting it in the partition, hearing how it ended, leaving nothing behind.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hotadd::hardware::{Mask, Tree};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, set_parent_process_death_signal};

use super::Message;

/// How long leftovers get to end when told to, before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// The running command.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// Our ends of its pipes, for the built-in load.
    pub(crate) pipes: Option<(ChildStdin, ChildStdout)>,
}

/// What to do with the command's own output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    Inherited,
    /// Events take stdout.
    ToStderr,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Killed(i32),
}

impl Ending {
    /// The exit status that a shell would give.
    pub(crate) const fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Starts a command on the partition's processors; without a mask, wherever we run.
pub(crate) fn start(words: &[OsString], mask: Option<Mask>, stdout: Stdout) -> io::Result<Child> {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    if stdout == Stdout::ToStderr {
        command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
    }
    spawn(command, mask)
}

/// Starts the built-in load.
pub(crate) fn start_workload(mask: Option<Mask>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("workload").stdin(Stdio::piped()).stdout(Stdio::piped());
    spawn(command, mask)
}

fn spawn(mut command: Command, mask: Option<Mask>) -> io::Result<Child> {
    let prepare = move || {
        // Should we be killed without a chance to clean up, the command is not to run on alone. The thread that starts it
        // is the main one, which lives as long as we do.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        mask.map_or(Ok(()), |mask| mask.adopt())?;
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. `prepare` makes two system calls and
    // neither allocates nor locks; the conversion of their error numbers into an `io::Error` stores a number.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    Ok(Child { pid, pipes: child.stdin.take().zip(child.stdout.take()) })
}

/// Waits, on a thread of its own, for every child there is, adopted ones included, until there is none.
pub(crate) fn reap(command: Pid, messages: Sender<Message>) {
    let reap = move || {
        loop {
            match rustix::process::wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) if pid == command => {
                    let killed = status.terminating_signal().map(Ending::Killed);
                    let ending = killed.or_else(|| status.exit_status().map(Ending::Exited));
                    let _ = messages.send(Message::Ended(ending.unwrap_or(Ending::Exited(0))));
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        let _ = messages.send(Message::Childless);
    };
    let thread = std::thread::Builder::new().name("hotadd-reap".to_owned());
    // Without it we would wait for ever; there is no going on.
    thread.spawn(reap).expect("a thread to wait for the command");
}

/// Ends whatever the command left behind, until `childless` says that there is nothing.
///
/// Returns what could not be ended.
pub(crate) fn end_leftovers(mut childless: impl FnMut(Duration) -> bool) -> Vec<Pid> {
    const PAUSE: Duration = Duration::from_millis(20);
    let began = Instant::now();
    let mut told = false;
    while began.elapsed() < 2 * GRACE {
        if childless(PAUSE) {
            return Vec::new();
        }
        let signal = if began.elapsed() < GRACE { Signal::TERM } else { Signal::KILL };
        if signal == Signal::KILL || !told {
            for pid in leftovers() {
                // It may have ended meanwhile; what cannot be signalled is found out in the end.
                let _ = kill_process(pid, signal);
            }
            told = true;
        }
    }
    leftovers()
}

fn leftovers() -> Vec<Pid> {
    let all = Tree::Descendants.processes().unwrap_or_default();
    all.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
}
