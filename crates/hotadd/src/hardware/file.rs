//! Kernel files: read completely with a size limit, and written by one write that is not repeated.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The kernel's list of possible processors.
pub(super) const POSSIBLE: &str = "/sys/devices/system/cpu/possible";

/// The maximum size of such a file is one page, 64 KiB on some machines.
const LONGEST: u64 = 65_536;

/// Reads a file. A longer one, or one that is not text, gives `EIO`: the kernel has no such file.
pub(super) fn read(path: &Path) -> Result<String, Errno> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| errno(&error))?;
    let read = file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| errno(&error))?;
    if read as u64 > LONGEST { Err(Errno::IO) } else { Ok(text) }
}

/// A file that always exists and is read repeatedly. After it is open, a read takes one call: the kernel writes the text anew
/// for each read from the start.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    file: OnceLock<File>,
}

impl Kept {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: OnceLock::new() }
    }

    /// As [`read`].
    pub(super) fn read(&self) -> Result<String, Errno> {
        let file = match self.file.get() {
            Some(file) => file,
            None => {
                let file = File::open(&self.path).map_err(|error| errno(&error))?;
                self.file.get_or_init(|| file)
            }
        };
        let mut text = Vec::new();
        let mut page = [0; 4096];
        loop {
            let read = file.read_at(&mut page, text.len() as u64).map_err(|error| errno(&error))?;
            text.extend_from_slice(&page[..read]);
            if text.len() as u64 > LONGEST {
                return Err(Errno::IO);
            }
            // The whole text fitted into the buffer.
            if read < page.len() {
                return String::from_utf8(text).map_err(|_| Errno::IO);
            }
        }
    }
}

/// Writes to an existing file.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), Errno> {
    write_opened(&open_to_write(path)?, text)
}

/// Opens an existing file for [`write_opened`].
pub(super) fn open_to_write(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Writes to an opened file.
pub(super) fn write_opened(file: &OwnedFd, text: &[u8]) -> Result<(), Errno> {
    // Not by the standard library, which repeats a write on EINTR.
    let written = rustix::io::write(file, text)?;
    if written == text.len() { Ok(()) } else { Err(Errno::IO) }
}

pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
