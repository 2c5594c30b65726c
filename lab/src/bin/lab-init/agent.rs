//! Executes the test's requests, which the second serial port announces.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use lab::wire::{Reply, Request, receive, send};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::programs::{Programs, run};
use crate::shared::Shared;
use crate::text;
use crate::uevents::Uevents;

const PORT: &str = "/dev/ttyS1";

type Answer = io::Result<(Reply, Vec<u8>)>;

/// Serves requests. Returns only if the port fails.
pub(crate) fn serve() -> io::Result<()> {
    let mut port = open()?;
    let mut memory = Shared::map()?;
    // Before a test can request a processor, whose event would otherwise be missed.
    let uevents = Uevents::listen()?;
    let mut programs = Programs::default();
    send(&mut port, &mut memory, &Reply::Ready, &[])?;
    loop {
        let (request, body) = receive(&mut port, &mut memory)?;
        let (reply, body) = answer(request, &body, &uevents, &mut programs)
            .unwrap_or_else(|e| (refusal(&e), Vec::new()));
        send(&mut port, &mut memory, &reply, &body)?;
    }
}

/// Opens the port in raw mode, which changes no byte.
fn open() -> io::Result<File> {
    // As a service the agent leads a session. Without this flag the port would become the terminal of that session and of all its
    // processes.
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let port = OpenOptions::new().read(true).write(true).custom_flags(flags).open(PORT)?;
    let mut line = tcgetattr(&port)?;
    line.make_raw();
    tcsetattr(&port, OptionalActions::Flush, &line)?;
    Ok(port)
}

fn refusal(error: &io::Error) -> Reply {
    Reply::Refused { errno: error.raw_os_error(), reason: error.to_string() }
}

fn answer(request: Request, body: &[u8], uevents: &Uevents, programs: &mut Programs) -> Answer {
    let done = || Ok((Reply::Done, Vec::new()));
    let millis = Duration::from_millis;
    match request {
        Request::Run { argv, limit_ms } => run(&argv, millis(limit_ms)),
        Request::Start { argv, output } => {
            Ok((Reply::Started { pid: programs.start(&argv, &output)? }, Vec::new()))
        }
        Request::Wait { pid, limit_ms } => Ok((programs.wait(pid, millis(limit_ms))?, Vec::new())),
        Request::Signal { pid, signal } => {
            programs.find(pid)?;
            let pid = Pid::from_raw(pid.cast_signed()).ok_or(rustix::io::Errno::SRCH)?;
            let signal = Signal::from_named_raw(signal).ok_or(rustix::io::Errno::INVAL)?;
            kill_process(pid, signal)?;
            done()
        }
        Request::Read { path } => Ok((Reply::Done, fs::read(path)?)),
        Request::Write { path } => {
            // Files of sysfs take a value in a single write, and no file can be created there.
            let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
            file.write_all(body)?;
            done()
        }
        Request::Put { path, offset, program } => {
            if let Some(folder) = Path::new(&path).parent().filter(|_| program) {
                fs::create_dir_all(folder)?;
            }
            let mut open = OpenOptions::new();
            let mut file = open.write(true).create(true).truncate(offset == 0).open(path)?;
            file.seek(SeekFrom::Start(offset))?;
            file.write_all(body)?;
            if program {
                file.set_permissions(fs::Permissions::from_mode(0o755))?;
            }
            done()
        }
        Request::Uevents { from } => Ok((Reply::Uevents(uevents.since(from)?), Vec::new())),
        Request::Await { from, head, limit_ms } => {
            let found = uevents.wait(from, &head, millis(limit_ms))?;
            Ok((found.map_or(Reply::Late, |event| Reply::Uevents(vec![event])), Vec::new()))
        }
        Request::Line { path, part, limit_ms } => {
            let found = text::wait(&path, &part, millis(limit_ms))?;
            Ok(found.map_or((Reply::Late, Vec::new()), |line| (Reply::Done, line.into_bytes())))
        }
    }
}
