//! The path of a service: the folder of sockets, and a socket in it that belongs to one live service at a time.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, chmod, chownat, fchmod, flock, fstat, openat,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::Gid;
use tokio::net::UnixListener;

use hotadd::ownership::{self, Untrusted};
use hotadd::{PageError, Partition, PublishedPage};
use hotadd_wire::is_name;

use crate::access::policy::Access;

/// The maximum number of connections that wait to be accepted: this equals the maximum number of connections, because all
/// clients come at once when a partition is restarted. One more gets an error that asks it to retry, which not every
/// client does.
const BACKLOG: i32 = 1024;

/// Why a service cannot use a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Not a valid name: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first no dot.
    #[error("{:?} is not a valid partition name: a name has 1 to 64 characters of A-Z a-z 0-9 . _ - and \
     does not start with a dot", hotadd::text::clean(.0))]
    BadName(String),
    /// Another process serves there.
    #[error("a partition named {0} is already running")]
    Running(String),
    /// The folder is not fit for a socket: other users could put something else there, or see what they must not see.
    #[error("{why}; the folder of a socket must have mode {mode} and belong to this user")]
    Folder {
        /// What is wrong with it.
        why: Untrusted,
        /// The mode that the folder may have at most.
        mode: &'static str,
    },
    /// A file that is not a socket has this path.
    #[error("{0} already exists and is not a socket")]
    NoSocket(PathBuf),
    /// A system call failed.
    #[error("cannot {what} {path}: {error}")]
    System {
        /// What failed.
        what: &'static str,
        /// The path.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// Whether a service could use this path, as far as can be checked without creating anything there.
///
/// # Errors
/// Why it could not. This does not check whether a service is there already.
pub fn check_place(path: &Path, access: &Access) -> Result<(), PlaceError> {
    SocketAddrUnix::new(path).map_err(|error| system("listen at", path, error.into()))?;
    let folder = folder_of(path);
    match fs::symlink_metadata(folder) {
        Ok(_) => sees_only_us(folder, access)?,
        // The folder is created, but not its parent.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = folder.parent().unwrap_or(Path::new("/"));
            let above =
                fs::metadata(above).map_err(|error| system("create the folder", folder, error))?;
            if !above.is_dir() {
                return Err(system("create the folder", folder, Errno::NOTDIR.into()));
            }
        }
        Err(error) => return Err(system("read", folder, error)),
    }
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(PlaceError::NoSocket(path.to_owned())),
        _ => Ok(()),
    }
}

/// The identity of a file, independent of its name. While the file is open or bound, no other file has the
/// same identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
}

impl File {
    /// The file at a path; `None` if there is none, or if it cannot be examined.
    fn at(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }

    /// The file of a descriptor.
    fn of(open: &OwnedFd) -> rustix::io::Result<Self> {
        let found = fstat(open)?;
        Ok(Self { device: found.st_dev, inode: found.st_ino })
    }
}

/// A listening socket, and the lock on its path. Dropping this removes both, but not files that another process has put there
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Place {
    name: String,
    path: PathBuf,
    lock_path: PathBuf,
    lock: OwnedFd,
    /// `None` while this place has no socket.
    socket: Option<File>,
    /// The active set, beside the socket, for processes that may reach the socket.
    page: Option<PublishedPage>,
}

impl Place {
    /// Takes the path, and listens there. Must be called inside the runtime that will serve it.
    pub(crate) fn take(
        name: &str,
        path: &Path,
        access: &Access,
    ) -> Result<(Self, UnixListener), PlaceError> {
        if !is_name(name) {
            return Err(PlaceError::BadName(name.chars().take(64).collect()));
        }
        prepare_folder(folder_of(path), access)?;
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = take_lock(name, &lock_path)?;
        // From here on, dropping `place` cleans up.
        let (name, path) = (name.to_owned(), path.to_owned());
        let mut place = Self { name, path, lock_path, lock, socket: None, page: None };
        let listener = place.listen(access)?;
        Ok((place, listener))
    }

    /// Creates again what was deleted: the socket, its lock, the folder. Returns `None` if the socket is still there.
    ///
    /// # Errors
    /// If the folder is refused, another process has the name, or a file cannot be created. The state is then unchanged, and the
    /// call may be repeated.
    pub(crate) fn again(&mut self, access: &Access) -> Result<Option<UnixListener>, PlaceError> {
        if !self.is_locked() {
            prepare_folder(folder_of(&self.path), access)?;
            self.lock = take_lock(&self.name, &self.lock_path)?;
        }
        if self.has_socket() {
            return Ok(None);
        }
        self.listen(access).map(Some)
    }

    /// Publishes the partition's active set beside the socket, unless it is there. Returns whether it was not.
    ///
    /// # Errors
    /// If the page cannot be made. The call may be repeated.
    pub(crate) fn show(
        &mut self,
        partition: &Partition,
        access: &Access,
    ) -> Result<bool, PageError> {
        if self.page.as_ref().is_some_and(PublishedPage::is_in_place) {
            return Ok(false);
        }
        let mut path = self.path.as_os_str().to_owned();
        path.push(".set");
        self.page = Some(partition.publish_page(Path::new(&path), access.gid())?);
        Ok(true)
    }

    /// The socket's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Listens at the path. The lock must be held: then no other service that respects the lock owns a socket there.
    fn listen(&mut self, access: &Access) -> Result<UnixListener, PlaceError> {
        self.socket = None;
        let path = &self.path;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(PlaceError::NoSocket(path.clone()));
            }
            Ok(_) if is_listened_on(path) => return Err(PlaceError::Running(self.name.clone())),
            Ok(_) => fs::remove_file(path).map_err(|e| system("remove the stale", path, e))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(system("read", path, error)),
        }
        let listener = listen_at(path).map_err(|error| system("listen at", path, error))?;
        // Only this user may write to the folder: the file at the path is the one that was just made.
        self.socket = File::at(path);
        if let Err(error) = give_to_group(path, access) {
            // A file without a listener must not pass for a socket that is still served.
            self.remove_socket();
            return Err(error);
        }
        Ok(listener)
    }

    fn remove_socket(&mut self) {
        if self.has_socket() {
            // A file that cannot be removed is replaced as stale by the next service.
            let _ = fs::remove_file(&self.path);
        }
        self.socket = None;
    }

    fn has_socket(&self) -> bool {
        self.socket.is_some() && self.socket == File::at(&self.path)
    }

    fn is_locked(&self) -> bool {
        File::of(&self.lock).is_ok_and(|lock| File::at(&self.lock_path) == Some(lock))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The socket and the page first, so that the next owner of the lock finds nothing.
        self.remove_socket();
        self.page = None;
        if self.is_locked() {
            let _ = fs::remove_file(&self.lock_path);
        }
    }
}

/// Opens the socket of a machine's partition to its group.
fn give_to_group(path: &Path, access: &Access) -> Result<(), PlaceError> {
    let Some(gid) = access.gid() else { return Ok(()) };
    let failed = |what| move |error: Errno| system(what, path, error.into());
    let gid = Some(Gid::from_raw(gid));
    chownat(CWD, path, None, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(failed("set the group of"))?;
    chmod(path, Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)
        .map_err(failed("set the mode of"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Whether another process listens at a socket without holding the lock. A full backlog counts as listening.
fn is_listened_on(path: &Path) -> bool {
    let refused = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(path)?)
    };
    !matches!(refused(), Err(Errno::CONNREFUSED | Errno::NOENT))
}

fn system(what: &'static str, path: &Path, error: io::Error) -> PlaceError {
    PlaceError::System { what, path: path.to_owned(), error }
}

/// Creates the folder, or checks that no other user can put anything into it.
fn prepare_folder(path: &Path, access: &Access) -> Result<(), PlaceError> {
    // All users may see where a machine's partition is.
    let mode = if access.is_machine() { 0o755 } else { 0o700 };
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(system("create the folder", path, error));
        }
        Err(_) => {}
        // The mode must not depend on the umask.
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(|error| system("set the mode of the folder", path, error))?,
    }
    sees_only_us(path, access)
}

/// Checks that no other user can put anything into the folder. Clients that look for the socket make the same check.
fn sees_only_us(path: &Path, access: &Access) -> Result<(), PlaceError> {
    let (barred, most) =
        if access.is_machine() { (0o022, "0755 or less") } else { (0o077, "0700") };
    ownership::folder_of_sockets(path, barred).map_err(|why| PlaceError::Folder { why, mode: most })
}

/// Locks the file beside the socket. The holder of the lock owns the path. The kernel releases the lock when
/// the process ends.
fn take_lock(name: &str, path: &Path) -> Result<OwnedFd, PlaceError> {
    let failed = |error: Errno| system("lock", path, error.into());
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(CWD, path, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(PlaceError::Running(name.to_owned())),
            other => other.map_err(failed)?,
        }
        // The owner may have deleted the file between opening and locking. Then the lock has no effect.
        if File::at(path) == Some(File::of(&file).map_err(failed)?) {
            return Ok(file);
        }
    }
}

fn listen_at(path: &Path) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // The mode is set before binding, so that the socket is never open to other users.
    fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    UnixListener::from_std(socket.into())
}
