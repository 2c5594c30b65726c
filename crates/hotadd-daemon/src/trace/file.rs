//! [`TraceFile`]: a trace as a file that is valid at any moment, and that has a limit.
//!
//! It is a JSON array with an event on each line. A reader of traces accepts an array without its end, so what a killed process
//! leaves can be read. At [`LIMIT`] the file is ended and renamed to `FILE.1`, in place of an earlier one, and begun again.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde_json::Value;

/// The size in bytes at which a file is ended. There are two of them at most.
pub const LIMIT: u64 = 64 << 20;

/// Writes the events of a trace.
pub struct TraceFile {
    to: Box<dyn Write + Send>,
    /// The path, if it is a file that can be renamed.
    path: Option<PathBuf>,
    written: u64,
    limit: u64,
}

impl TraceFile {
    /// Creates the file, readable for this user only, or replaces its contents. A symbolic link is refused: a folder that others
    /// may write to would let them choose what is replaced.
    ///
    /// # Errors
    /// If it cannot be created, or is not a file.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        let mut trace = Self::to(Box::new(create(path)?))?;
        (trace.path, trace.limit) = (Some(path.to_owned()), limit);
        Ok(trace)
    }

    /// Writes to something that is not a file, without a limit.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn to(mut to: Box<dyn Write + Send>) -> io::Result<Self> {
        to.write_all(b"[")?;
        Ok(Self { to, path: None, written: 1, limit: u64::MAX })
    }

    /// Writes events, at once.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, events: &[Value]) -> io::Result<()> {
        let mut lines = Vec::new();
        for event in events {
            lines.extend_from_slice(if self.written == 1 && lines.is_empty() {
                b"\n"
            } else {
                b",\n"
            });
            serde_json::to_writer(&mut lines, event)?;
        }
        self.to.write_all(&lines)?;
        self.written += lines.len() as u64;
        self.to.flush()
    }

    /// Whether the limit is reached.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.written >= self.limit
    }

    /// Ends the file, and begins the next one.
    ///
    /// # Errors
    /// If this file cannot be renamed or the next one cannot be created.
    pub fn turn(&mut self) -> io::Result<()> {
        self.end()?;
        let Some(path) = &self.path else { return Ok(()) };
        let mut earlier = path.clone().into_os_string();
        earlier.push(".1");
        std::fs::rename(path, earlier)?;
        *self = Self::create(&path.clone(), self.limit)?;
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        self.to.write_all(b"\n]\n")?;
        self.to.flush()
    }
}

fn create(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let file = options.custom_flags(flags.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

impl std::fmt::Debug for TraceFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, written, limit, .. } = self;
        f.debug_struct("TraceFile")
            .field("path", path)
            .field("written", written)
            .field("limit", limit)
            .finish()
    }
}
