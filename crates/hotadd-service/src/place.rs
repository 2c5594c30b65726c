//! Where a service is found: the folder of sockets, and a socket in it that belongs to one live service at a time.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, chmod, chownat, fchmod, flock, fstat, openat,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with,
};
use rustix::process::{Gid, geteuid};

use hotadd::ownership::{self, Untrusted};

use crate::access::Access;

/// How many may wait to be accepted: all that there may be, who come at once when a partition is started anew. One more is
/// told to come again, which not every client does.
const BACKLOG: i32 = 1024;

/// Why a service cannot be where it is wanted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Not a name: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first no dot.
    #[error("{:?} is no name for a partition: 1 to 64 of A-Z a-z 0-9 . _ -, the first no dot", hotadd::text::clean(.0))]
    BadName(String),
    /// Somebody else serves there.
    #[error("a partition named {0} is running already")]
    Running(String),
    /// The folder is not fit for a socket: others could put something else there, or see what is to be seen by nobody else.
    #[error("{why}; for a socket the folder must have mode {mode} and be this user's own")]
    Folder {
        /// What is wrong with it.
        why: Untrusted,
        /// Which mode it must have at most.
        mode: &'static str,
    },
    /// Something that is no socket has its path.
    #[error("{0} is there already, and is no socket")]
    NoSocket(PathBuf),
    /// The system does not let it be made.
    #[error("cannot {what} {path}: {error}")]
    System {
        /// What failed.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// The folder in which partitions of this user are found: `$XDG_RUNTIME_DIR/hotadd`; without that
/// `/run/user/UID/hotadd`, if there is a `/run/user/UID`; else `/tmp/hotadd-UID`.
#[must_use]
pub fn runtime_dir() -> PathBuf {
    let uid = geteuid().as_raw();
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let usual = || Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|path| path.is_dir());
    match given.filter(|path| path.is_absolute()).or_else(usual) {
        Some(path) => path.join("hotadd"),
        None => PathBuf::from(format!("/tmp/hotadd-{uid}")),
    }
}

/// Whether a partition may be called so: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first no dot.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(fit)
}

/// Whether a service could be at this path, as far as that is to be seen without making anything there.
///
/// # Errors
/// Why it could not. Whether one is there already is not asked.
pub fn check_place(path: &Path, access: &Access) -> Result<(), PlaceError> {
    SocketAddrUnix::new(path).map_err(|error| system("listen at", path, error.into()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    match fs::symlink_metadata(folder) {
        Ok(_) => sees_only_us(folder, access)?,
        // It is made; what it is made in is not.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = folder.parent().unwrap_or(Path::new("/"));
            let above =
                fs::metadata(above).map_err(|error| system("make the folder", folder, error))?;
            if !above.is_dir() {
                return Err(system("make the folder", folder, Errno::NOTDIR.into()));
            }
        }
        Err(error) => return Err(system("look at", folder, error)),
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(PlaceError::NoSocket(path.to_owned())),
        _ => Ok(()),
    }
}

/// A socket that is listened on, and the right to be at its path. Dropping it removes both.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: OwnedFd,
}

impl Place {
    /// Takes the path, and listens there.
    pub(crate) fn take(
        name: &str,
        path: &Path,
        access: &Access,
    ) -> Result<(Self, UnixListener), PlaceError> {
        if !is_name(name) {
            return Err(PlaceError::BadName(name.chars().take(64).collect()));
        }
        prepare_folder(path.parent().unwrap_or(Path::new(".")), access)?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = take_lock(name, &lock_path)?;
        // From here on it is cleaned up. With the lock in hand a socket at the path is nobody's who keeps to it.
        let place = Self { path: path.to_owned(), lock_path, _lock: lock };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(place.leave_path(PlaceError::NoSocket(path.to_owned())));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(place.leave_path(PlaceError::Running(name.to_owned())));
            }
            Ok(_) => fs::remove_file(path).map_err(|e| system("remove the stale", path, e))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(place.leave_path(system("look at", path, error))),
        }
        let failed = |what| move |error: Errno| system(what, path, error.into());
        let listener = listen_at(path).map_err(failed("listen at"))?;
        if let Some(gid) = access.gid() {
            // The folder is ours alone to write to: what is at the path is what was just put there.
            let gid = Some(Gid::from_raw(gid));
            chownat(CWD, path, None, gid, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(failed("give to its group"))?;
            chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)
                .map_err(failed("open to its group"))?;
        }
        Ok((place, listener))
    }

    /// What is at the path is somebody else's, and stays.
    fn leave_path(mut self, error: PlaceError) -> PlaceError {
        self.path = PathBuf::new();
        error
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The socket first: who takes the lock next finds nothing. What is gone already need not be removed.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}

fn system(what: &'static str, path: &Path, error: io::Error) -> PlaceError {
    PlaceError::System { what, path: path.to_owned(), error }
}

/// Makes the folder, or sees that nobody else can put anything into it.
fn prepare_folder(path: &Path, access: &Access) -> Result<(), PlaceError> {
    // Of a machine's partition everybody may see where it is.
    let mode = if access.is_machine() { 0o755 } else { 0o700 };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(system("make the folder", path, error));
        }
        Err(_) => {}
        // Whatever the umask says.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| system("open the folder", path, error))?,
    }
    sees_only_us(path, access)
}

/// Sees that nobody else can put anything into the folder. Whoever looks for the socket asks the same.
fn sees_only_us(path: &Path, access: &Access) -> Result<(), PlaceError> {
    let (barred, most) =
        if access.is_machine() { (0o022, "0755 or less") } else { (0o077, "0700") };
    ownership::folder_of_sockets(path, barred).map_err(|why| PlaceError::Folder { why, mode: most })
}

/// Locks the file beside the socket. Who has the lock owns the path; the kernel drops it with the process.
fn take_lock(name: &str, path: &Path) -> Result<OwnedFd, PlaceError> {
    let failed = |error: Errno| system("lock", path, error.into());
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(PlaceError::Running(name.to_owned())),
            other => other.map_err(failed)?,
        }
        // Its owner may have removed it between opening and locking: then it is a lock on nothing.
        let locked = fstat(&file).map_err(failed)?;
        if fs::symlink_metadata(path).is_ok_and(|there| there.ino() == locked.st_ino) {
            return Ok(file);
        }
    }
}

fn listen_at(path: &Path) -> rustix::io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Before it is bound, so that it is never open to others.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket.into())
}
