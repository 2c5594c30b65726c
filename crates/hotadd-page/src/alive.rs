//! Whether a partition is alive: it holds a write lock on its page, which the kernel releases when its process ends.
//!
//! The lock belongs to the open file (`F_OFD_SETLK`), so that closing another descriptor of the page does not release it. Only a
//! process that may write the file can take it: no reader can pass for the partition.

use std::fs::File;
use std::io;

use libc::{F_RDLCK, F_UNLCK, F_WRLCK, SEEK_SET};
use nix::fcntl::{FcntlArg, fcntl};

fn whole(kind: i32) -> io::Result<libc::flock> {
    let kind = i16::try_from(kind).map_err(|_| io::ErrorKind::InvalidInput)?;
    let from = i16::try_from(SEEK_SET).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(libc::flock { l_type: kind, l_whence: from, l_start: 0, l_len: 0, l_pid: 0 })
}

/// Marks the page as that of a live partition, as long as the file is open.
pub(crate) fn hold(file: &File) -> io::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(F_WRLCK)?))?;
    Ok(())
}

/// Whether a live partition writes the page.
pub(crate) fn is_held(file: &File) -> io::Result<bool> {
    let mut lock = whole(F_RDLCK)?;
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != F_UNLCK)
}
