//! Finds the programs of a script, and refuses those that other users may change.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hotadd::ownership::{self, Untrusted};

/// The maximum number of programs in one folder. More than this cannot be intended.
const MOST: usize = 1000;

/// Why a path is not a script.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptError {
    /// There is nothing at the path.
    #[error("{} does not exist", .0.display())]
    Missing(PathBuf),
    /// The path cannot be examined.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The path that cannot be read.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The path is a socket, a device or the like.
    #[error("{} is neither a program nor a folder of programs", .0.display())]
    NoFile(PathBuf),
    /// The path is a file that cannot be executed.
    #[error("{} is not executable; `chmod +x` makes it so", .0.display())]
    NotExecutable(PathBuf),
    /// Other users could run any code with this process's rights.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The folder has no program.
    #[error(
        "there is no program in {}: an executable file with a name of letters, digits, '.', '_' and '-'",
        .0.display()
    )]
    Empty(PathBuf),
    /// The folder has more programs than can be intended.
    #[error("there are more than {MOST} programs in {}", .0.display())]
    TooMany(PathBuf),
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) programs: Vec<PathBuf>,
    pub(super) is_folder: bool,
}

/// The programs at a path, in the order in which they run.
pub(super) fn find(path: &Path) -> Result<Found, ScriptError> {
    let path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
    let is_folder = look_at(&path)?.is_dir();
    let programs = if is_folder { inside(&path)? } else { vec![path] };
    programs.iter().try_for_each(|path| check(path))?;
    Ok(Found { programs, is_folder })
}

/// Checks that a program can be run and that no other user may change it. This is checked before every run:
/// the file may have changed.
pub(super) fn check(path: &Path) -> Result<(), ScriptError> {
    if !look_at(path)?.is_file() {
        return Err(ScriptError::NoFile(path.to_owned()));
    }
    ownership::file(path)?;
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Err(ScriptError::NotExecutable(path.to_owned()));
    }
    Ok(())
}

/// The programs in a folder, by name.
fn inside(folder: &Path) -> Result<Vec<PathBuf>, ScriptError> {
    // Sticky or not: a user who may write to the folder could put another program here.
    ownership::folder(folder)?;
    let mut found = Vec::new();
    for entry in folder.read_dir().map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        if !entry.file_name().to_str().is_some_and(is_name) {
            continue;
        }
        // A file that is gone already, or a dangling link, is not a program.
        let Ok(metadata) = entry.path().metadata() else { continue };
        if metadata.is_file() && metadata.mode() & 0o111 != 0 {
            found.push(entry.path());
        }
        if found.len() > MOST {
            return Err(ScriptError::TooMany(folder.to_owned()));
        }
    }
    if found.is_empty() {
        return Err(ScriptError::Empty(folder.to_owned()));
    }
    found.sort();
    Ok(found)
}

/// Whether a file of this name is meant to be run.
fn is_name(name: &str) -> bool {
    const LEFT_BEHIND: [&str; 11] = [
        ".bak", ".old", ".orig", ".rej", ".swp", ".swo", ".tmp", ".save", ".rpmsave", ".rpmorig",
        ".rpmnew",
    ];
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !name.starts_with('.')
        && name.chars().all(plain)
        && !LEFT_BEHIND.iter().any(|end| name.ends_with(end))
        && !name.contains(".dpkg-")
}

fn look_at(path: &Path) -> Result<Metadata, ScriptError> {
    path.metadata().map_err(|error| unreadable(path, error))
}

fn unreadable(path: &Path, error: io::Error) -> ScriptError {
    match error.kind() {
        io::ErrorKind::NotFound => ScriptError::Missing(path.to_owned()),
        _ => ScriptError::Unreadable { path: path.to_owned(), error },
    }
}
