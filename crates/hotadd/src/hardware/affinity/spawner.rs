//! [`Spawner`]: the thread that starts processes, with a mask that the calling thread need not have.

use std::io;
use std::mem;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::Mask;

/// Starts processes on a thread of its own, which starts with the first process and ends when this is dropped. A process inherits
/// the mask of the thread that starts it, and is killed with that thread if it requests a parent-death signal.
#[derive(Debug, Default)]
pub(super) struct Spawner(Mutex<Option<Sender<Job>>>);

/// A process to start.
struct Job {
    command: Command,
    mask: Mask,
    done: Sender<(Command, io::Result<Child>)>,
}

impl Spawner {
    /// Starts a process with this mask.
    ///
    /// # Errors
    /// The error of the command, or of the kernel.
    pub(super) fn spawn(&self, command: &mut Command, mask: Mask) -> io::Result<Child> {
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let jobs = match &mut *jobs {
            Some(jobs) => jobs,
            none => none.insert(begin()?),
        };
        let (done, result) = channel();
        // The thread cannot borrow the command.
        let lent = mem::replace(command, Command::new(""));
        let ended = || io::Error::other("the thread that starts processes has ended");
        jobs.send(Job { command: lent, mask, done }).map_err(|_| ended())?;
        let (lent, child) = result.recv().map_err(|_| ended())?;
        *command = lent;
        child
    }
}

fn begin() -> io::Result<Sender<Job>> {
    let (jobs, waiting) = channel::<Job>();
    let work = move || {
        for Job { mut command, mask, done } in waiting {
            let child = mask.adopt().map_err(io::Error::from).and_then(|()| command.spawn());
            // The caller waits for the result.
            let _ = done.send((command, child));
        }
    };
    thread::Builder::new().name("hotadd-spawn".into()).spawn(work)?;
    Ok(jobs)
}
