//! Brings every processor that is plugged in online, with as little as that takes: what others are measured against.
//!
//! `lab-onliner UP HOW`: writes to the pipe UP when it listens. HOW is `now`; or a way to let the kernel finish first, which sends
//! the event while it holds the lock that the write needs: `after=MS`, a time; `bind`, its event that a driver has taken the
//! processor; or `flip=FILE`, a switch of its ACPI code that is turned off and on again, which waits for another lock that
//! the kernel holds meanwhile.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};

/// Room for some hundred events.
const ROOM: usize = 1 << 20;

enum How {
    Now,
    After(Duration),
    Bind,
    Flip(String),
}

impl How {
    fn of(text: &str) -> Option<How> {
        Some(match text.split_once('=') {
            None if text == "now" => How::Now,
            None if text == "bind" => How::Bind,
            Some(("after", ms)) => How::After(Duration::from_millis(ms.parse().ok()?)),
            Some(("flip", file)) => How::Flip(file.to_owned()),
            _ => return None,
        })
    }

    /// The event after which the processor is to come online.
    fn action(&self) -> &'static str {
        if matches!(self, How::Bind) { "bind" } else { "add" }
    }

    fn wait(&self) -> io::Result<()> {
        match self {
            How::Now | How::Bind => {}
            How::After(time) => thread::sleep(*time),
            How::Flip(file) => {
                // The first takes the lock, and so does the second, when it is free. Nothing of the same value does.
                write(file, "0")?;
                write(file, "1")?;
            }
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let up = arguments.next();
    let how = arguments.next().and_then(|how| How::of(&how));
    let (Some(up), Some(how)) = (up, how) else {
        return Err("usage: lab-onliner UP now|after=MS|bind|flip=FILE".into());
    };
    let socket = lab::uevents::socket(ROOM)?;
    fs::write(up, "up\n")?;
    let prefix = format!("{}@/devices/system/cpu/cpu", how.action());
    let mut buffer = [0; 8192];
    loop {
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        let head = buffer[..length].split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(id) = head.strip_prefix(prefix.as_bytes()) else { continue };
        how.wait()?;
        write(&format!("/sys/devices/system/cpu/cpu{}/online", str::from_utf8(id)?), "1")?;
    }
}

fn write(path: &str, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}
