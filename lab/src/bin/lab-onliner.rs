//! Brings every plugged-in processor online with the least possible work: the baseline of measurements.
//!
//! `lab-onliner UP now|bind [PARTIES]`: writes to the pipe UP when it listens. With `bind` it waits for the event that a driver
//! is bound to the processor, since the kernel sends the first event while it holds the lock that the write needs. Before the
//! write it asks PARTIES processes, which receive a byte and send it back.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};

use rustix::net::{RecvFlags, recv};

/// The buffer for some hundred events.
const ROOM: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some(PARTY) {
        return agree();
    }
    let up = arguments.next();
    let action = match arguments.next().as_deref() {
        Some("now") => Some("add"),
        Some("bind") => Some("bind"),
        _ => None,
    };
    let (Some(up), Some(action)) = (up, action) else {
        return Err("usage: lab-onliner UP now|bind [PARTIES]".into());
    };
    let parties: u32 = arguments.next().map_or(Ok(0), |number| number.parse())?;
    let mut parties = (0..parties).map(|_| party()).collect::<Result<Vec<_>, _>>()?;
    let socket = lab::uevents::socket(ROOM)?;
    fs::write(up, "up\n")?;
    let prefix = format!("{action}@/devices/system/cpu/cpu");
    let mut buffer = [0; 8192];
    loop {
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        let head = buffer[..length].split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(id) = head.strip_prefix(prefix.as_bytes()) else { continue };
        for (_, party) in &mut parties {
            party.write_all(b"?")?;
        }
        for (_, party) in &mut parties {
            party.read_exact(&mut [0])?;
        }
        let switch = format!("/sys/devices/system/cpu/cpu{}/online", str::from_utf8(id)?);
        OpenOptions::new().write(true).open(switch)?.write_all(b"1")?;
    }
}

/// The argument that starts this program as a party.
const PARTY: &str = "--party";

/// Starts a party, which ends with this process.
fn party() -> Result<(Child, UnixStream), Box<dyn Error>> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.arg(PARTY).stdin(OwnedFd::from(theirs)).spawn()?;
    Ok((child, ours))
}

/// Sends back what comes in, on the socket that is its stdin.
fn agree() -> Result<(), Box<dyn Error>> {
    let mut socket = UnixStream::from(rustix::io::dup(std::io::stdin())?);
    let mut byte = [0];
    while socket.read(&mut byte)? > 0 {
        socket.write_all(&byte)?;
    }
    Ok(())
}
