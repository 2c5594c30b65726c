//! Files of the kernel: read whole and with a limit, written by one write that nobody repeats.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The most that such a file has is a page, of 64 KiB on some machines.
const LONGEST: u64 = 65_536;

/// What is longer, or no text, is none of the kernel's: `EIO`.
pub(super) fn read(path: &Path) -> Result<String, Errno> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| errno(&error))?;
    let read = file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| errno(&error))?;
    if read as u64 > LONGEST { Err(Errno::IO) } else { Ok(text) }
}

/// Writes to a file that is there.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), Errno> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // Not by the standard library, which tries again on EINTR.
    let written = rustix::io::write(file, text)?;
    if written == text.len() { Ok(()) } else { Err(Errno::IO) }
}

pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
