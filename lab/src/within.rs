//! Runs a program on this machine to its end, or until a time limit.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// The program's output and exit status.
///
/// # Errors
/// If it cannot be started, or takes longer; then it is killed.
pub(crate) fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    // Unlike pipes, files are not held open by processes that the program leaves behind, and are never full.
    let (out, err) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    command.stdin(Stdio::null()).stdout(out.reopen()?).stderr(err.reopen()?);
    let mut child = command.spawn()?;
    let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    if !ends(&pidfd, limit)? {
        child.kill()?;
        child.wait()?;
        let name = command.get_program().to_string_lossy().into_owned();
        let reason = format!("{name} took longer than {limit:?}");
        return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
    }
    let status = child.wait()?;
    Ok(Output { status, stdout: std::fs::read(out.path())?, stderr: std::fs::read(err.path())? })
}

/// Whether a descriptor is readable, or a process has ended, within a time.
pub(crate) fn ends(descriptor: impl AsFd, limit: Duration) -> io::Result<bool> {
    let limit =
        Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
    let mut fds = [PollFd::new(&descriptor, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&limit)) {
            Ok(ready) => return Ok(ready > 0),
            // Polls again with the full limit: a signal may lengthen the time, but never shortens it.
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
