//! QEMU as a process that never outlives this one.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::param::clock_ticks_per_second;
use rustix::process::{
    Pid, PidfdFlags, Signal, getpid, getppid, pidfd_open, pidfd_send_signal,
    set_parent_process_death_signal,
};

/// A process that is killed when this is dropped. The kernel kills it if this process ends in any other way: by Ctrl-C, by an
/// abort, by SIGKILL.
pub(crate) struct Process {
    descriptor: OwnedFd,
    id: u32,
    keeper: Option<JoinHandle<io::Result<ExitStatus>>>,
}

impl Process {
    pub(crate) fn spawn(mut command: Command) -> io::Result<Process> {
        let parent = getpid();
        let prepare = move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before that call.
            if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
        };
        // SAFETY: between fork and exec only async-signal-safe things may be done. `prepare` makes two system calls and
        // neither allocates nor locks; the conversion of their error numbers into an `io::Error` stores a number.
        unsafe { command.pre_exec(prepare) };
        let (started, start) = channel();
        // The kernel treats the thread that starts a process as its parent. This thread lives as long as QEMU, and no longer than
        // this process; the calling thread may end before.
        let keeper = thread::Builder::new().name("lab-qemu".into()).spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(e) => {
                    let _ = started.send(Err(e));
                    return Err(Errno::SRCH.into());
                }
            };
            let opened = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
                .map(|descriptor| (descriptor, child.id()));
            if opened.is_err() {
                child.kill()?;
            }
            let _ = started.send(opened.map_err(Into::into));
            child.wait()
        })?;
        let (descriptor, id) = start.recv().map_err(io::Error::other)??;
        Ok(Process { descriptor, id, keeper: Some(keeper) })
    }

    /// The processor time that the process has used.
    pub(crate) fn used(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id)).unwrap_or_default();
        // The program's name, which is in parentheses, may contain spaces.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / clock_ticks_per_second())
    }

    /// Waits for the connection that the process makes. Fails if the process ends or the time is up.
    pub(crate) fn connects(&self, to: &UnixListener, until: Instant) -> io::Result<UnixStream> {
        let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        let left =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        let mut fds =
            [PollFd::new(to, PollFlags::IN), PollFd::new(&self.descriptor, PollFlags::IN)];
        loop {
            match poll(&mut fds, Some(&left)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) if fds[0].revents().is_empty() => {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Ok(_) => return Ok(to.accept()?.0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if the process has ended already.
        let _ = pidfd_send_signal(self.descriptor.as_fd(), Signal::KILL);
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}
