//! [`Program`]: runs one program for one notice, and interprets its end.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use hotadd::{Errno, Notice, Status, Veto};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::tail::Tail;
use super::{find, word};
use crate::children::{Children, Ending, Offspring, Start, not_started};
use crate::text::span;

/// The polling interval, where the kernel cannot report the end of a process.
const GLANCE: Duration = Duration::from_millis(10);

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that is run for every notice.
#[derive(Debug)]
pub(super) struct Program {
    path: PathBuf,
    /// The program's name in reasons: its file name.
    pub(super) name: String,
}

impl Program {
    pub(super) fn new(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { path, name }
    }

    /// Runs the program and waits for it.
    pub(super) fn run(&self, notice: &Notice, limit: Duration, start: &Start) -> Result<(), Veto> {
        find::check(&self.path).map_err(|error| error.to_string())?;
        let began = Instant::now();
        let child = Children::get().start(|| start(&mut command(&self.path, notice)));
        let mut child = child.map_err(|error| cannot_run(&error))?;
        let mut said = Tail::default();
        match attend(&mut child, &mut said, began, limit) {
            Some(Ending::Exited(0)) => Ok(()),
            Some(ending @ Ending::Exited(_)) => {
                let reason = said.last_line().unwrap_or_else(|| format!("it {ending}"));
                Err(Veto::new(Status::UNSUCCESSFUL, reason))
            }
            Some(ending) => Err(Veto::crash(Status::DRIVER_INTERNAL_ERROR, format!("it {ending}"))),
            None => Err(Veto::crash(Status::IO_TIMEOUT, format!("no answer in {}", span(limit)))),
        }
    }
}

fn command(path: &Path, notice: &Notice) -> Command {
    let mut command = Command::new(path);
    let processor = notice.processor();
    let number = processor.number();
    let status = notice.status();
    let flag = |condition| if condition { "1" } else { "0" };
    command
        .arg(word(notice.state()))
        .arg(processor.id.to_string())
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("HOTADD_STATE", word(notice.state()))
        .env("HOTADD_INDEX", processor.index.get().to_string())
        .env("HOTADD_GROUP", number.group.to_string())
        .env("HOTADD_NUMBER", number.number.to_string())
        .env("HOTADD_ID", processor.id.to_string())
        .env("HOTADD_EPOCH", notice.epoch().0.to_string())
        .env("HOTADD_STATUS", format!("0x{:08X}", status.to_raw()))
        .env("HOTADD_STATUS_NAME", status.name().unwrap_or_default())
        .env("HOTADD_SURPRISE", flag(notice.is_surprise()))
        .env("HOTADD_REPLAY", flag(notice.is_replay()))
        .current_dir("/")
        .stdin(Stdio::null())
        // This process's stdout is not for the program.
        .stdout(Stdio::from(io::stderr()))
        .stderr(Stdio::piped())
        // The program gets a process group of its own, so that everything that it has started can be killed
        // with it.
        .process_group(0);
    command
}

fn cannot_run(error: &io::Error) -> Veto {
    let status = error.raw_os_error().map(|errno| Status::from_errno(Errno::from_raw(errno)));
    let hint = match error.raw_os_error() {
        Some(ENOEXEC) => "; check that it begins with a line such as #!/bin/sh",
        _ => "",
    };
    let reason = format!("{}{hint}", not_started(error));
    Veto::new(status.unwrap_or(Status::UNSUCCESSFUL), reason)
}

const ENOEXEC: i32 = rustix::io::Errno::NOEXEC.raw_os_error();

/// Reads a program's stderr until it ends. A program that takes too long is killed with its whole group, and has
/// no ending.
fn attend(
    child: &mut Offspring,
    said: &mut Tail,
    began: Instant,
    limit: Duration,
) -> Option<Ending> {
    let mut stderr = child.stderr.take();
    // A pipe that could block is not read at all.
    let _ = stderr.take_if(|pipe| rustix::io::ioctl_fionbio(pipe, true).is_err());
    loop {
        let ending = child.ending();
        // This also reads after the program has ended: its last output is in the pipe. Other processes may still hold
        // the pipe open. The loop does not wait for them.
        let _ = stderr.take_if(|pipe| !said.take(pipe));
        if ending.is_some() {
            return ending;
        }
        let left = limit.saturating_sub(began.elapsed());
        if left.is_zero() {
            child.end();
            return None;
        }
        wait(child, stderr.as_ref(), left);
    }
}

/// Waits until the program has written something or ended, for at most `most`.
fn wait(child: &Offspring, stderr: Option<&ChildStderr>, most: Duration) {
    let Some(stderr) = stderr else {
        let _ = child.wait_timeout(most);
        return;
    };
    let pidfd = child.pidfd();
    let most = if pidfd.is_some() { most } else { most.min(GLANCE) };
    let mut fds = vec![PollFd::new(stderr, PollFlags::IN)];
    fds.extend(pidfd.as_ref().map(|pidfd| PollFd::new(pidfd, PollFlags::IN)));
    // An interrupted call is treated like a wake-up.
    let _ = poll(&mut fds, Timespec::try_from(most).ok().as_ref());
    if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
        // The program has ended. How it ended is known shortly.
        let _ = child.wait_timeout(most);
    }
}
