//! The command of a run: starts it in the partition, reports how it ended, and leaves no processes behind.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hotadd::hardware::Tree;
use hotadd_daemon::descriptors;
use hotadd_service::children::Children;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

use crate::fence::Way;
use crate::message::Message;
use crate::options::Options;

/// How long leftover processes have to end when told to, before they are killed.
const GRACE: Duration = Duration::from_secs(2);

/// The running command.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pid: Pid,
    /// This process's ends of its pipes, for the built-in load.
    pub(crate) pipes: Option<(ChildStdin, ChildStdout)>,
}

/// Starts the run's command on the partition's processors.
pub(crate) fn start(options: &Options, way: Way, messages: &Sender<Message>) -> io::Result<Child> {
    let mut command = Command::new(&options.command[0]);
    command.args(&options.command[1..]);
    if options.to_stderr {
        command.stdout(Stdio::from(io::stderr().as_fd().try_clone_to_owned()?));
    }
    spawn(command, way, messages)
}

/// Starts the built-in load.
pub(crate) fn start_workload(way: Way, messages: &Sender<Message>) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("workload").stdin(Stdio::piped()).stdout(Stdio::piped());
    spawn(command, way, messages)
}

fn spawn(mut command: Command, way: Way, messages: &Sender<Message>) -> io::Result<Child> {
    let prepare = move || {
        // If this process is killed and cannot clean up, the command must not continue alone. The main thread starts it, which
        // lives as long as this process.
        Ok(set_parent_process_death_signal(Some(Signal::TERM))?)
    };
    // SAFETY: between fork and exec only async-signal-safe things may be done. `prepare` makes one system call and neither
    // allocates nor locks; the conversion of its error number into an `io::Error` stores a number.
    unsafe { command.pre_exec(prepare) };
    way.before_exec(&mut command);
    descriptors::give_back(&mut command);
    let mut child = Children::get().spawn(command)?;
    let messages = messages.clone();
    child.on_end(move |ending| {
        // Fails only when the run is over.
        let _ = messages.send(Message::Ended(ending));
    });
    Ok(Child { pid: child.pid, pipes: child.stdin.take().zip(child.stdout.take()) })
}

/// Ends all processes that the command left behind.
///
/// Returns what could not be ended.
pub(crate) fn end_leftovers() -> Vec<Pid> {
    const PAUSE: Duration = Duration::from_millis(20);
    let began = Instant::now();
    let mut told = false;
    while began.elapsed() < 2 * GRACE {
        if Children::get().childless(PAUSE) {
            return Vec::new();
        }
        let signal = if began.elapsed() < GRACE { Signal::TERM } else { Signal::KILL };
        if signal == Signal::KILL || !told {
            for pid in leftovers() {
                // It may have ended meanwhile. The caller learns of a process that cannot be signalled.
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
