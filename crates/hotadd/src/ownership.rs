//! Checks who owns a path and who else could change what is there, before hotadd reads, runs or trusts a file because of its
//! path.
//!
//! Only root and this user are trusted. It is not enough to check the file itself: a user who may write to a folder on the
//! way can replace what is below it. So the path is walked from the root. For a symbolic link, both the folder of the link
//! and the way to its target are checked.
//!
//! | | for root | for others |
//! |---|---|---|
//! | the file or folder itself | belongs to root, and nobody else may write to it | belongs to root or this user, and not everybody may write to it |
//! | folders on the way | the same, or sticky as /tmp is | not everybody may write to them, or sticky |
//! | symbolic links | belong to root | in a sticky folder belong to root or this user |
//!
//! Users other than root often have a group of their own, which may write to all their files. So groups are ignored for them.
//!
//! ```
//! use hotadd::ownership;
//!
//! ownership::file("/proc/version".as_ref())?;
//! assert!(ownership::file("/dev/null".as_ref()).is_err(), "it is not a file");
//! # Ok::<(), ownership::Untrusted>(())
//! ```

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::OFlags;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

/// The maximum number of links that are followed, the same as in the kernel.
const MOST_LINKS: u32 = 40;

/// The sticky bit: users who may write to the folder may replace only their own files.
const STICKY: u32 = 0o1000;

/// Why a path is not trusted, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It cannot be read, or does not exist.
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        /// The path that cannot be read.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, who could change what is run, read or trusted in {}; {}", path.display(), whose(*.by), remedy(*.by, path))]
    Owner {
        /// The path that belongs to another user.
        path: PathBuf,
        /// The user id of the owner.
        owner: u32,
        /// The user id for which the path was checked.
        by: u32,
    },
    /// Every user may write to it.
    #[error("every user may write to {} and could change what is run, read or trusted in {}; fix it with \
     `chmod o-w`", path.display(), whose(*.by))]
    Everybody {
        /// The path to which every user may write.
        path: PathBuf,
        /// The user id for which the path was checked.
        by: u32,
    },
    /// A group may write to it.
    #[error("group {group} may write to {} and could change what is run, read or trusted in {}; fix it \
     with `chmod g-w`", path.display(), whose(*.by))]
    Group {
        /// The path to which it may write.
        path: PathBuf,
        /// The group id.
        group: u32,
        /// The user id for which the path was checked.
        by: u32,
    },
    /// It has the wrong file type.
    #[error("{} is not a {wanted}", path.display())]
    Kind {
        /// The path that was checked.
        path: PathBuf,
        /// The expected file type.
        wanted: &'static str,
    },
}

fn whose(by: u32) -> &'static str {
    if by == 0 { "root's name" } else { "your name" }
}

fn remedy(by: u32, path: &Path) -> String {
    match by {
        0 => format!("fix it with `chown root {}`", path.display()),
        _ => "use a file of your own".to_owned(),
    }
}

impl Untrusted {
    /// Whether nothing exists at the path.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Unreadable { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Checks that only trusted users can change a file and the way to it. Returns the path with all links resolved.
///
/// # Errors
/// If others can change it, or if it is not a regular file.
pub fn file(path: &Path) -> Result<PathBuf, Untrusted> {
    let (believer, (real, found)) = (Believer::this(), Believer::this().reach(path)?);
    if !found.is_file() {
        return Err(kind(path, "regular file"));
    }
    believer.unchanged(&real, &found).map(|()| real)
}

/// The same check for a folder: only trusted users can put files into it.
///
/// # Errors
/// If others can change it, or if it is not a folder.
pub fn folder(path: &Path) -> Result<PathBuf, Untrusted> {
    let (believer, (real, found)) = (Believer::this(), Believer::this().reach(path)?);
    if !found.is_dir() {
        return Err(kind(path, "folder"));
    }
    believer.unchanged(&real, &found).map(|()| real)
}

/// The same check for a folder of sockets. It must not be a link, and its mode must have none of the bits in `barred`:
/// 0o077 if no other user may access it, 0o022 if others may see its contents.
///
/// # Errors
/// If a check fails.
pub fn folder_of_sockets(path: &Path, barred: u32) -> Result<(), Untrusted> {
    Believer::this().folder_of_sockets(path, barred)
}

/// Checks that a socket at a path belongs to a trusted user, in a folder where no other user can put one. After connecting,
/// [`peer`] tells which process listens there.
///
/// # Errors
/// If a check fails, or if it is not a socket.
pub fn socket(path: &Path) -> Result<(), Untrusted> {
    Believer::this().socket(path)
}

/// The user id and process id of the listener at the other end of a connected socket, as of when it began to listen. The process
/// id is 0 if the process is in another container.
///
/// # Errors
/// If it is not a connected Unix socket.
pub fn peer(socket: &impl AsFd) -> io::Result<(u32, i32)> {
    let credentials = socket_peercred(socket)?;
    Ok((credentials.uid.as_raw(), rustix::process::Pid::as_raw(Some(credentials.pid))))
}

/// Whether this user is trusted: root, or the user of this process.
#[must_use]
pub fn is_believed(uid: u32) -> bool {
    Believer::this().believes(uid)
}

/// Reads a regular file of at most `most` bytes. A pipe or a device is an error, and is not waited for.
///
/// # Errors
/// If it is not such a file, or cannot be read.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    if file.take(most.saturating_add(1)).read_to_end(&mut bytes)? as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, too_long(most)));
    }
    Ok(bytes)
}

/// Opens a file for reading. For a pipe, it does not wait for a writer: the caller can check the file type first.
///
/// # Errors
/// If it cannot be opened.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn too_long(most: u64) -> String {
    match most >> 20 {
        0 => format!("it is longer than {most} bytes"),
        mib => format!("it is longer than {mib} MiB"),
    }
}

fn kind(path: &Path, wanted: &'static str) -> Untrusted {
    Untrusted::Kind { path: path.to_owned(), wanted }
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Untrusted + '_ {
    |error| Untrusted::Unreadable { path: path.to_owned(), error }
}

/// The user for which paths are checked.
#[derive(Clone, Copy)]
struct Believer(u32);

impl Believer {
    fn this() -> Self {
        Self(geteuid().as_raw())
    }

    const fn is_root(self) -> bool {
        self.0 == 0
    }

    const fn believes(self, uid: u32) -> bool {
        uid == 0 || uid == self.0
    }

    /// Follows the path to its end, and checks everything on the way.
    fn reach(self, path: &Path) -> Result<(PathBuf, Metadata), Untrusted> {
        let whole = std::path::absolute(path).map_err(unreadable(path))?;
        let (mut at, mut links) = (PathBuf::from("/"), 0);
        let mut found = look_at(&at)?;
        let mut rest = parts(&whole);
        while let Some(part) = rest.pop_front() {
            let sticky = self.passes(&at, &found)?;
            if part == ".." {
                // The path so far contains no link, so this is the parent folder.
                at.pop();
                found = look_at(&at)?;
                continue;
            }
            let next = at.join(&part);
            let there = look_at(&next)?;
            if !there.is_symlink() {
                (at, found) = (next, there);
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(unreadable(&whole)(rustix::io::Errno::LOOP.into()));
            }
            if self.is_root() || sticky {
                self.owned(&next, &there)?;
            }
            let target = fs::read_link(&next).map_err(unreadable(&next))?;
            if target.is_absolute() {
                at = PathBuf::from("/");
                found = look_at(&at)?;
            }
            let mut further = parts(&target);
            further.append(&mut rest);
            rest = further;
        }
        Ok((at, found))
    }

    /// Checks that the file or folder at the end of a path belongs to a trusted user, and that no other user may write to it.
    fn unchanged(self, path: &Path, found: &Metadata) -> Result<(), Untrusted> {
        self.owned(path, found)?;
        self.unwritable(path, found)
    }

    /// Whether a folder on the way is sticky. An error if others could replace what is in it.
    fn passes(self, path: &Path, found: &Metadata) -> Result<bool, Untrusted> {
        if self.is_root() {
            self.owned(path, found)?;
        }
        let sticky = found.is_dir() && found.mode() & STICKY != 0;
        if !sticky {
            self.unwritable(path, found)?;
        }
        Ok(sticky)
    }

    fn owned(self, path: &Path, found: &Metadata) -> Result<(), Untrusted> {
        let owner = found.uid();
        if self.believes(owner) {
            return Ok(());
        }
        Err(Untrusted::Owner { path: path.to_owned(), owner, by: self.0 })
    }

    fn unwritable(self, path: &Path, found: &Metadata) -> Result<(), Untrusted> {
        let (path, by) = (path.to_owned(), self.0);
        if found.mode() & 0o002 != 0 {
            return Err(Untrusted::Everybody { path, by });
        }
        if found.mode() & 0o020 != 0 && self.is_root() {
            return Err(Untrusted::Group { path, group: found.gid(), by });
        }
        Ok(())
    }

    fn folder_of_sockets(self, path: &Path, barred: u32) -> Result<(), Untrusted> {
        // The path itself and not a link's target: only hotadd makes and names this folder.
        let found = look_at(path)?;
        self.owned(path, &found)?;
        if !found.is_dir() {
            return Err(kind(path, "folder"));
        }
        self.reach(path)?;
        let (open, by) = (found.mode() & barred, self.0);
        let path = path.to_owned();
        match open {
            0 => Ok(()),
            open if open & 0o007 != 0 => Err(Untrusted::Everybody { path, by }),
            _ => Err(Untrusted::Group { path, group: found.gid(), by }),
        }
    }

    fn socket(self, path: &Path) -> Result<(), Untrusted> {
        self.folder_of_sockets(path.parent().unwrap_or(Path::new("/")), 0o022)?;
        let found = look_at(path)?;
        self.owned(path, &found)?;
        if found.file_type().is_socket() { Ok(()) } else { Err(kind(path, "socket")) }
    }
}

fn look_at(path: &Path) -> Result<Metadata, Untrusted> {
    fs::symlink_metadata(path).map_err(unreadable(path))
}

/// The names on a path, and the steps to the parent.
fn parts(path: &Path) -> VecDeque<OsString> {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests;
