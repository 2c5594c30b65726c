//! [`FileError`]: why a file is not a driver that can be loaded; and reading one.

use std::io::{self, Read};
use std::path::Path;

use super::headers::MOST_BYTES;

/// Why a file is not a driver that can be loaded. Each says what the file is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is something else.
    #[error("not a driver: {0}")]
    NotADriver(String),
    /// It ends too early.
    #[error("truncated: {0}")]
    Truncated(String),
    /// It contradicts itself.
    #[error("damaged: {0}")]
    Damaged(String),
    /// There is more of something than is taken.
    #[error("too large: {0}")]
    TooLarge(String),
    /// It is a driver that needs what this loader does not have.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// It imports what is not provided, and was to be loaded strictly.
    #[error("it needs what is not provided: {}", .0.join(", "))]
    Unresolved(Vec<String>),
    /// There is no room for it.
    #[error("there is no room for it: {0}")]
    NoRoom(String),
}

impl FileError {
    /// Nothing of a driver is to run before its faults are watched for.
    pub(crate) fn unwatched(error: &io::Error) -> Self {
        Self::NoRoom(format!("its faults cannot be watched for: {error}"))
    }
}

/// Reads a file that is to be loaded.
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
    // One byte more than is taken, to see that it is more; it may grow while it is read.
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    super::headers::check_size(&bytes)?;
    Ok(bytes)
}
