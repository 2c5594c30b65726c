//! Running a program on this machine to its end, or until its time is up.

use std::io;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// What the program said, and how it ended.
///
/// # Errors
/// If it cannot be started, or took longer; then it was killed.
pub(crate) fn output(command: &mut Command, limit: Duration) -> io::Result<Output> {
    // Files, unlike pipes, are not held open by what a program leaves behind, and are never full.
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
            // Started again: a signal that ends nothing may lengthen the time, never shorten it.
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
