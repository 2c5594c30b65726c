//! Brings every processor that is plugged in online, with as little as that takes: what others are measured against.
//!
//! `lab-onliner UP now|bind`: writes to the pipe UP when it listens. With `bind` it waits for the event that a driver has taken the
//! processor, since the kernel sends the first one while it holds the lock that the write needs.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;

use rustix::net::{RecvFlags, recv};

/// Room for some hundred events.
const ROOM: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let up = arguments.next();
    let action = match arguments.next().as_deref() {
        Some("now") => Some("add"),
        Some("bind") => Some("bind"),
        _ => None,
    };
    let (Some(up), Some(action)) = (up, action) else {
        return Err("usage: lab-onliner UP now|bind".into());
    };
    let socket = lab::uevents::socket(ROOM)?;
    fs::write(up, "up\n")?;
    let prefix = format!("{action}@/devices/system/cpu/cpu");
    let mut buffer = [0; 8192];
    loop {
        let (length, _) = recv(&socket, &mut buffer, RecvFlags::empty())?;
        let head = buffer[..length].split(|byte| *byte == 0).next().unwrap_or_default();
        let Some(id) = head.strip_prefix(prefix.as_bytes()) else { continue };
        let switch = format!("/sys/devices/system/cpu/cpu{}/online", str::from_utf8(id)?);
        OpenOptions::new().write(true).open(switch)?.write_all(b"1")?;
    }
}
