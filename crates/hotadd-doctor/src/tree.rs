//! [`Tree`]: reads below a root as a program in it would. Links stay inside the root, reading never blocks, and everything has a
//! limit.

use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The most bytes of a rules file, a unit or a script. Those of distributions have some thousand.
pub(crate) const LARGEST: u64 = 1 << 20;
/// The most entries of a folder.
const ENTRIES: usize = 8192;
/// The limits for everything together: opened files and folders, and bytes.
const OPENED: usize = 50_000;
const BYTES: u64 = 64 << 20;
/// The most reports of files that could not be read.
const TOLD: usize = 100;

/// A file or folder that could not be read, and why.
#[derive(Clone, Debug)]
pub(crate) struct Unread {
    pub(crate) path: PathBuf,
    pub(crate) reason: String,
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Content {
    Missing,
    Folder,
    /// A device, a pipe or a socket.
    Special,
    Text(Vec<u8>),
    /// It has a NUL byte near its beginning.
    Binary(File),
    /// Why it could not be read.
    Unread(String),
}

/// A root, and the list of what was not readable below it.
pub(crate) struct Tree {
    root: OwnedFd,
    path: PathBuf,
    opened: Cell<usize>,
    bytes: Cell<u64>,
    unread: RefCell<Vec<Unread>>,
    /// Something was not read because a limit for everything together was reached.
    exhausted: Cell<bool>,
}

impl Tree {
    /// # Errors
    /// `root` is not a folder, or may not be examined.
    pub(crate) fn new(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::openat(CWD, root, flags, Mode::empty())?,
            path: root.to_owned(),
            opened: Cell::new(0),
            bytes: Cell::new(0),
            unread: RefCell::default(),
            exhausted: Cell::new(false),
        })
    }

    /// Whether this is the machine's own root.
    pub(crate) fn is_whole(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Everything that could not be read so far.
    pub(crate) fn unread(&self) -> Vec<Unread> {
        let mut unread = self.unread.borrow().clone();
        if self.exhausted.get() {
            let reason = format!(
                "the limit of {OPENED} files or {BYTES} bytes was reached, and the rest was not examined"
            );
            unread.push(Unread { path: PathBuf::from("/"), reason });
        }
        unread
    }

    /// A file's content. None if the file does not exist, or if it cannot be read; the latter is recorded.
    pub(crate) fn read(&self, path: &Path) -> Option<Vec<u8>> {
        // Checked before it is opened: opening a device can start it, for example a watchdog.
        let fd = self.opened(path, OFlags::PATH)?;
        let result = (|| {
            let stat = rustix::fs::fstat(&fd)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                return Ok(None);
            }
            let file = reopened(&fd)?;
            let mut bytes = Vec::new();
            (&file).take(LARGEST + 1).read_to_end(&mut bytes)?;
            self.bytes.set(self.bytes.get() + bytes.len() as u64);
            if bytes.len() as u64 > LARGEST {
                return Err(too_large());
            }
            Ok(Some(bytes))
        })();
        result.unwrap_or_else(|error| self.forgo(path, &error.to_string()))
    }

    /// What is at a path. A failure to read it is not recorded: the caller reports it.
    pub(crate) fn look_into(&self, path: &Path) -> Content {
        if self.spent() {
            return Content::Unread(
                "it was not examined, because the limit of files or bytes was reached".to_owned(),
            );
        }
        let fd = match self.open(path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(fd) => fd,
            Err(error) if leads_nowhere(error) => return Content::Missing,
            Err(error) => return Content::Unread(io::Error::from(error).to_string()),
        };
        let result = (|| {
            let stat = rustix::fs::fstat(&fd)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {}
                FileType::Directory => return Ok(Content::Folder),
                _ => return Ok(Content::Special),
            }
            let mut file = reopened(&fd)?;
            let mut head = Vec::new();
            (&file).take(512).read_to_end(&mut head)?;
            if head.contains(&0) {
                file.rewind()?;
                return Ok(Content::Binary(file));
            }
            (&file).take(LARGEST).read_to_end(&mut head)?;
            self.bytes.set(self.bytes.get() + head.len() as u64);
            if head.len() as u64 > LARGEST {
                return Err(too_large());
            }
            Ok(Content::Text(head))
        })();
        result.unwrap_or_else(|error: io::Error| Content::Unread(error.to_string()))
    }

    /// The command line of a process. None if the process has ended.
    pub(crate) fn command_line(&self, path: &Path) -> Option<Vec<u8>> {
        const LONGEST: u64 = 64 << 10;
        let fd = self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC).ok()?;
        let stat = rustix::fs::fstat(&fd).ok()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut text = Vec::new();
        File::from(fd).take(LONGEST).read_to_end(&mut text).ok()?;
        Some(text)
    }

    /// When a file was last changed, in seconds since 1970.
    pub(crate) fn changed(&self, path: &Path) -> Option<i64> {
        let stat = rustix::fs::fstat(self.opened(path, OFlags::PATH)?).ok()?;
        Some(stat.st_mtime)
    }

    /// The path of a file with all links followed, as a program in the root sees it.
    pub(crate) fn real(&self, path: &Path) -> Option<PathBuf> {
        let fd = self.opened(path, OFlags::PATH)?;
        let (root, path) = (place(&self.root)?, place(&fd)?);
        Some(Path::new("/").join(path.strip_prefix(root).ok()?))
    }

    /// The names in a folder, in order. Empty if there is no such folder.
    pub(crate) fn list(&self, path: &Path) -> Vec<OsString> {
        let Some(fd) = self.opened(path, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return Vec::new();
        };
        let mut names = Vec::new();
        let result = Dir::new(fd).and_then(|dir| {
            for entry in dir {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name == b"." || name == b".." {
                    continue;
                }
                if names.len() == ENTRIES {
                    self.forgo::<()>(path, &format!("it has more than {ENTRIES} entries"));
                    break;
                }
                names.push(OsString::from_vec(name.to_vec()));
            }
            Ok(())
        });
        if let Err(error) = result {
            self.forgo::<()>(path, &io::Error::from(error).to_string());
        }
        names.sort();
        names
    }

    /// The target of a link. None if the path is not a link.
    pub(crate) fn link(&self, path: &Path) -> Option<PathBuf> {
        let fd = self.opened(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = rustix::fs::readlinkat(fd, c"", Vec::new()).ok()?;
        Some(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// The kind of a file. None if it does not exist.
    pub(crate) fn kind(&self, path: &Path) -> Option<FileType> {
        let stat = rustix::fs::fstat(self.opened(path, OFlags::PATH)?).ok()?;
        Some(FileType::from_raw_mode(stat.st_mode))
    }

    /// What identifies a file or folder: its device and inode number.
    pub(crate) fn id(&self, path: &Path) -> Option<(u64, u64)> {
        identity(self.opened(path, OFlags::PATH)?)
    }

    fn opened(&self, path: &Path, flags: OFlags) -> Option<OwnedFd> {
        if self.spent() {
            return None;
        }
        match self.open(path, flags | OFlags::CLOEXEC) {
            Ok(fd) => Some(fd),
            Err(error) if leads_nowhere(error) => None,
            Err(error) => self.forgo(path, &io::Error::from(error).to_string()),
        }
    }

    /// Counts one more file. Returns whether a limit is reached, which is recorded.
    fn spent(&self) -> bool {
        if self.opened.get() >= OPENED || self.bytes.get() >= BYTES {
            self.exhausted.set(true);
            return true;
        }
        self.opened.set(self.opened.get() + 1);
        false
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        // The kernel answers EAGAIN when something was renamed meanwhile.
        for _ in 0..16 {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
            {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // Before Linux 5.6, or forbidden in a container. For the machine's own root a plain open is enough.
                Err(Errno::NOSYS | Errno::PERM) if self.is_whole() => {
                    return rustix::fs::openat(&self.root, path, flags, Mode::empty());
                }
                result => return result,
            }
        }
        Err(Errno::AGAIN)
    }

    /// Records that something was not read.
    fn forgo<T>(&self, path: &Path, reason: &str) -> Option<T> {
        let mut unread = self.unread.borrow_mut();
        if unread.len() < TOLD && !unread.iter().any(|other| other.path == path) {
            unread.push(Unread { path: path.to_owned(), reason: reason.to_owned() });
        }
        None
    }
}

/// Whether no program can follow such a path. NXIO is a socket, or a pipe without a peer.
fn leads_nowhere(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO)
}

/// Opens a file for reading after it was checked.
fn reopened(fd: &OwnedFd) -> io::Result<File> {
    let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(CWD, itself, flags, Mode::empty())?))
}

/// The path of an open file.
fn place(fd: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()
}

fn too_large() -> io::Error {
    io::Error::other(format!("it has more than {LARGEST} bytes"))
}

/// A file's device and inode number.
pub(crate) fn identity(fd: impl AsFd) -> Option<(u64, u64)> {
    let stat = rustix::fs::fstat(fd).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/hostname"), "inside").unwrap();
        symlink("/etc/hostname", dir.path().join("absolute")).unwrap();
        symlink("../../../../../etc/hostname", dir.path().join("upwards")).unwrap();
        let tree = Tree::new(dir.path()).unwrap();
        for name in ["/absolute", "/upwards"] {
            let read = tree.read(Path::new(name));
            assert_eq!(read.as_deref(), Some(&b"inside"[..]), "{name} leads out of the root");
        }
        assert!(tree.unread().is_empty());
    }

    #[test]
    fn loops_pipes_and_large_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/round", dir.path().join("round")).unwrap();
        rustix::fs::mkfifoat(CWD, dir.path().join("pipe"), Mode::RUSR).unwrap();
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(LARGEST + 1).unwrap();
        let tree = Tree::new(dir.path()).unwrap();
        assert_eq!(tree.read(Path::new("/round")), None);
        assert_eq!(tree.read(Path::new("/pipe")), None);
        assert!(
            tree.unread().is_empty(),
            "a loop and a pipe are not readable files for any program"
        );
        assert_eq!(tree.read(Path::new("/large")), None);
        assert_eq!(tree.unread().len(), 1, "a file that is too large is recorded as not examined");
        large.set_len(LARGEST).unwrap();
        assert_eq!(tree.read(Path::new("/large")).unwrap().len(), 1 << 20);
    }

    #[test]
    fn files_beyond_the_total_limit_are_recorded_as_not_examined() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("last"), "").unwrap();
        let tree = Tree::new(dir.path()).unwrap();
        for _ in 0..OPENED {
            assert!(matches!(tree.look_into(Path::new("/none")), Content::Missing));
        }
        assert!(tree.unread().is_empty(), "a missing file is not recorded");
        assert!(matches!(tree.look_into(Path::new("/last")), Content::Unread(_)));
        assert_eq!(tree.unread().len(), 1, "a file beyond the limit is recorded as not examined");
    }
}
