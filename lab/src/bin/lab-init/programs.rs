//! Runs programs: to their end, or in the background.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lab::wire::Reply;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Runs a program to its end and reads its output. A program that takes too long is killed, with its process group.
pub(crate) fn run(argv: &[String], limit: Duration) -> io::Result<(Reply, Vec<u8>)> {
    let mut child =
        command(argv)?.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn()?;
    let ended = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let mut out = Pipe::new(child.stdout.take())?;
    let mut err = Pipe::new(child.stderr.take())?;
    let until = Instant::now() + limit;
    loop {
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(out.pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        fds.extend(err.pipe.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        let ready = wait_for(&mut fds, until)?;
        // Checked before the pipes are read: output from before the end is then in them.
        let over = !fds[0].revents().is_empty();
        out.drain()?;
        err.drain()?;
        if over {
            break;
        }
        if !ready {
            kill_process_group(Pid::from_child(&child), Signal::KILL)?;
            child.wait()?;
            return Ok((Reply::Late, Vec::new()));
        }
    }
    let status = child.wait()?.into_raw();
    let output = out.read.len();
    out.read.append(&mut err.read);
    Ok((Reply::Ran { status, output }, out.read))
}

/// Programs that were started and not yet waited for.
#[derive(Default)]
pub(crate) struct Programs {
    running: HashMap<u32, Child>,
}

impl Programs {
    pub(crate) fn start(&mut self, argv: &[String], output: &str) -> io::Result<u32> {
        let output = File::create(output)?;
        let mut command = command(argv)?;
        let child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
        let pid = child.id();
        self.running.insert(pid, child);
        Ok(pid)
    }

    pub(crate) fn find(&mut self, pid: u32) -> io::Result<&mut Child> {
        let unknown =
            || io::Error::other(format!("process {pid} was not started here, or has ended"));
        self.running.get_mut(&pid).ok_or_else(unknown)
    }

    /// Returns the exit status of a program and forgets the program.
    pub(crate) fn wait(&mut self, pid: u32, limit: Duration) -> io::Result<Reply> {
        let child = self.find(pid)?;
        let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
        if !wait_for(&mut [PollFd::new(&ended, PollFlags::IN)], Instant::now() + limit)? {
            return Ok(Reply::Late);
        }
        let status = child.wait()?.into_raw();
        self.running.remove(&pid);
        Ok(Reply::Ran { status, output: 0 })
    }
}

fn command(argv: &[String]) -> io::Result<Command> {
    let (name, args) = argv.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
    let mut command = Command::new(name);
    command.args(args).stdin(Stdio::null()).current_dir("/root");
    Ok(command)
}

/// Whether any descriptor is ready before the time is up.
fn wait_for(fds: &mut [PollFd<'_>], until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left =
            Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        match poll(fds, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// A program's output, read without waiting. Processes that the program leaves behind may hold the pipe open beyond its end.
struct Pipe<R> {
    pipe: Option<R>,
    read: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(pipe: Option<R>) -> io::Result<Pipe<R>> {
        if let Some(pipe) = &pipe {
            fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
        }
        Ok(Pipe { pipe, read: Vec::new() })
    }

    fn drain(&mut self) -> io::Result<()> {
        let Some(pipe) = &mut self.pipe else { return Ok(()) };
        // Reads all that is there. What was read is kept even if the pipe would block then.
        match pipe.read_to_end(&mut self.read) {
            Ok(_) => self.pipe = None,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }
}
