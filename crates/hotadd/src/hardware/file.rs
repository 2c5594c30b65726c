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

/// The list of mounts has no limit. By default the kernel allows 100,000 mounts (`fs.mount-max`), of about 150 bytes each.
const LONGEST_MOUNTS: u64 = 16 << 20;

/// Reads a file. A longer one, or one that is not text, gives `EIO`: the kernel has no such file.
pub(crate) fn read(path: &Path) -> Result<String, Errno> {
    String::from_utf8(read_bytes(path, LONGEST)?).map_err(|_| Errno::IO)
}

fn read_bytes(path: &Path, longest: u64) -> Result<Vec<u8>, Errno> {
    // Without waiting for a writer, if somebody has put a pipe there.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let mut bytes = Vec::new();
    let read = file.take(longest + 1).read_to_end(&mut bytes).map_err(|error| errno(&error))?;
    if read as u64 > longest { Err(Errno::IO) } else { Ok(bytes) }
}

/// The mounts of this process. `root` is `/`, but for tests. An error names the file.
pub(crate) fn read_mounts(root: &Path) -> Result<Vec<u8>, (&'static str, Errno)> {
    let path = "/proc/self/mountinfo";
    read_bytes(&below(root, path), LONGEST_MOUNTS).map_err(|errno| (path, errno))
}

/// The cgroups of this process, as [`read_mounts`].
pub(crate) fn read_own_cgroups(root: &Path) -> Result<Vec<u8>, (&'static str, Errno)> {
    let path = "/proc/self/cgroup";
    read_bytes(&below(root, path), LONGEST).map_err(|errno| (path, errno))
}

/// An absolute path, below another root.
fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What both ways of reading give for a file with these bytes.
    fn both(bytes: &[u8]) -> [Result<String, Errno>; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, bytes).unwrap();
        [read(&path), Kept::new(path).read()]
    }

    #[test]
    fn a_file_of_up_to_the_longest_page_is_read_whole_and_a_longer_one_is_refused() {
        let longest = usize::try_from(LONGEST).unwrap();
        // Numbers, so that a piece that is read twice or at another place shows.
        let numbers: String = (0..longest).map(|n| format!("{n},")).collect();
        for length in [0, 1, 4095, 4096, 4097, 8192, longest - 1, longest] {
            let text = &numbers[..length];
            let same = both(text.as_bytes()).map(|read| read.as_deref() == Ok(text));
            assert_eq!(same, [true, true], "{length} bytes are read");
        }
        for length in [longest + 1, longest + 4096, 3 * longest] {
            let refused = both(&numbers.as_bytes()[..length]).map(|read| read == Err(Errno::IO));
            assert_eq!(refused, [true, true], "{length} bytes are refused");
        }
    }

    #[test]
    fn a_file_that_is_no_text_or_is_missing_gives_an_error() {
        assert_eq!(both(b"0-3\xff"), [Err(Errno::IO), Err(Errno::IO)]);
        let missing = tempfile::tempdir().unwrap().path().join("list");
        assert_eq!(read(&missing), Err(Errno::NOENT));
        assert_eq!(Kept::new(missing).read(), Err(Errno::NOENT));
    }
}
