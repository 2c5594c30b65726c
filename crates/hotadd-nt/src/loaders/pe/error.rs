//! [`FileError`]: why a file cannot be loaded as a driver; and reading a file.

use std::io::{self, Read};
use std::path::Path;

use super::headers::MOST_BYTES;
use crate::ground::frameworks::Framework;

/// Why a file cannot be loaded as a driver. Each variant says what the file is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The file is something else.
    #[error("not a driver: {0}")]
    NotADriver(String),
    /// The file ends too early.
    #[error("truncated: {0}")]
    Truncated(String),
    /// The file contradicts itself.
    #[error("damaged: {0}")]
    Damaged(String),
    /// A size or number is above its limit.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The driver needs something that this loader does not support.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// The driver imports something that is not provided, and strict loading was requested.
    #[error("it needs functions that are not provided: {}", .0.join(", "))]
    Unresolved(Vec<String>),
    /// The driver is for a framework that is not hosted, and cannot begin without it.
    #[error("it is for {}, which is not hosted here: that would need {}", .0.name, .0.needs)]
    Framework(&'static Framework),
    /// There is not enough memory for it.
    #[error("there is not enough memory: {0}")]
    NoRoom(String),
}

impl FileError {
    /// No driver code may run before its faults are monitored.
    pub(crate) fn unwatched(error: &io::Error) -> Self {
        Self::NoRoom(format!("its faults cannot be monitored: {error}"))
    }
}

/// Reads a file for loading.
///
/// # Errors
/// It is a directory, too large, or unreadable.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = hotadd::ownership::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(FileError::NotADriver("a directory".into()));
    }
    if !about.is_file() {
        return Err(FileError::NotADriver("not a regular file".into()));
    }
    let mut bytes = Vec::new();
    // Reads one byte more than the limit, to detect a larger file: it may grow while it is read.
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    super::headers::check_size(&bytes)?;
    Ok(bytes)
}
