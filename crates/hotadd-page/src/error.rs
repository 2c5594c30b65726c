//! [`PageError`]: why a page cannot be read or written.

use std::io;
use std::path::PathBuf;

/// Why a page cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// A system call failed.
    #[error("cannot {what} {}: {error}", .path.display())]
    System {
        /// What failed.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// The file is not a page of this version.
    #[error("{} is not a page of a partition that this version can read: {why}", .path.display())]
    NoPage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file belongs to another user, who could end this process by truncating it.
    #[error("{} belongs to user {owner}; only pages of root and of the reader's own user are mapped", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// The user that owns it.
        owner: u32,
    },
    /// The partition has ended. A new partition at the same path has a new page: open it again.
    #[error("the partition has ended")]
    Ended,
    /// The partition is alive, but has not finished a change of the page for a second: it is stopped, or does not write a page.
    #[error("the page has been half written for a second; its partition is stopped or faulty")]
    Stuck,
}

#[cfg(not(hotadd_loom))]
impl PageError {
    pub(crate) fn system(
        what: &'static str,
        path: &std::path::Path,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::System { what, path: path.to_owned(), error: error.into() }
    }
}
