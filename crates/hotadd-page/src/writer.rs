//! [`PageWriter`]: the partition's side.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use hotadd_core::{ActiveSet, MAX_GROUPS};
use rustix::fs::{
    FallocateFlags, Gid, MemfdFlags, Mode, SealFlags, fallocate, fchmod, fchown, fcntl_add_seals,
    memfd_create,
};
use rustix::io::Errno;
use rustix::thread::futex;

use crate::error::PageError;
use crate::layout::{
    ACTIVE_AT, AGREED_AT, COUNT_BITS, ENDED, IDS_AT, KNOWN_AT, LENGTH, MAGIC, MAXIMUM_AT,
    PROPOSALS_AT, PROPOSED_AT, SEQUENCE_AT, SUMMARY_AT, VERSION, VERSION_AT, WAIT_AT, waiting_for,
};
use crate::map::Map;
use crate::{alive, seqlock};

const GROUPS: usize = MAX_GROUPS as usize;

/// A page that a partition writes. Dropping it tells readers that the partition has ended, and removes the file.
///
/// One thread writes at a time; the partition's lock sees to that.
#[derive(Debug)]
pub struct PageWriter {
    /// A page without a path is handed out as a descriptor.
    path: Option<PathBuf>,
    file: File,
    map: Map,
    /// How many hardware ids are in the page.
    known: usize,
}

impl PageWriter {
    /// Makes a page with this set, at a path in a folder into which no other user can write. A file at this path is replaced and
    /// not changed, so that readers of an earlier page are not disturbed. The owner may read and write it, and `group` may read
    /// it.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(path: &Path, group: Option<u32>, set: &ActiveSet) -> Result<Self, PageError> {
        let failed = |what| move |error: Errno| PageError::system(what, path, error);
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        // One that a crashed partition has left.
        let _ = fs::remove_file(&new);
        let open =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new);
        let file = open.map_err(|error| PageError::system("create", &new, error))?;
        let made = || {
            // The space is reserved: a write into a hole of a full file system would end this process.
            fallocate(&file, FallocateFlags::empty(), 0, LENGTH as u64)
                .map_err(failed("reserve space for"))?;
            if let Some(group) = group {
                fchown(&file, None, Some(Gid::from_raw(group)))
                    .map_err(failed("set the group of"))?;
                fchmod(&file, Mode::RUSR | Mode::WUSR | Mode::RGRP)
                    .map_err(failed("set the mode of"))?;
            }
            let map = Map::new(&file, LENGTH, true)
                .map_err(|error| PageError::system("map", path, error))?;
            alive::hold(&file).map_err(|error| PageError::system("lock", path, error))?;
            Ok(map)
        };
        let map = made().inspect_err(|_| drop(fs::remove_file(&new)))?;
        let writer = Self::begin(Some(path.to_owned()), file, map, set);
        // Readers find the page only when it is whole.
        if let Err(error) = fs::rename(&new, path) {
            let _ = fs::remove_file(&new);
            return Err(PageError::system("create", path, error));
        }
        Ok(writer)
    }

    /// Makes a page without a path, whose readers get a [descriptor](Self::descriptor). Its length is sealed, so it cannot be
    /// truncated under a reader, and no other process can write it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn sealed(set: &ActiveSet) -> Result<Self, PageError> {
        let name = Path::new("(a page without a path)");
        let failed = |what| move |error: Errno| PageError::system(what, name, error);
        let file = File::from(memory_file("hotadd-set").map_err(failed("create"))?);
        fallocate(&file, FallocateFlags::empty(), 0, LENGTH as u64)
            .map_err(failed("reserve space for"))?;
        // Other users cannot open it a second time, with more rights than the descriptor that they got.
        fchmod(&file, Mode::RUSR).map_err(failed("set the mode of"))?;
        let map =
            Map::new(&file, LENGTH, true).map_err(|error| PageError::system("map", name, error))?;
        // The mapping above stays writable.
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
        fcntl_add_seals(&file, seals).map_err(failed("seal"))?;
        alive::hold(&file).map_err(|error| PageError::system("lock", name, error))?;
        Ok(Self::begin(None, file, map, set))
    }

    fn begin(path: Option<PathBuf>, file: File, map: Map, set: &ActiveSet) -> Self {
        map.long(0).store(u64::from_ne_bytes(MAGIC), Ordering::Relaxed);
        map.word(VERSION_AT).store(VERSION, Ordering::Relaxed);
        map.word(MAXIMUM_AT).store(set.maximum(), Ordering::Relaxed);
        let mut writer = Self { path, file, map, known: 0 };
        writer.publish(set);
        writer
    }

    /// A descriptor of the page for a reader, by which it can only be read.
    ///
    /// # Errors
    /// If the kernel has none left, or if `/proc` is not mounted.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        // A duplicate would share the lock by which readers tell that the partition is alive. Opened again, it does not.
        let again = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        Ok(again.into())
    }

    /// Whether the page is still at its path: another process may have deleted it. A page without a path is nowhere.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        let Some(path) = &self.path else { return false };
        let (Ok(own), Ok(there)) = (self.file.metadata(), fs::symlink_metadata(path)) else {
            return false;
        };
        (own.dev(), own.ino()) == (there.dev(), there.ino())
    }

    /// Writes a set. When this returns, every reader finds it.
    pub fn publish(&mut self, set: &ActiveSet) {
        let map = &self.map;
        let known = set.ever_active();
        // Relaxed throughout: the seqlock orders these stores for readers.
        let store = |at: usize, value: u32| map.word(at).store(value, Ordering::Relaxed);
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        seqlock::write(map.word(SEQUENCE_AT), || {
            let (active, agreed) = (map.longs(ACTIVE_AT, GROUPS), map.longs(AGREED_AT, GROUPS));
            for ((group, active), agreed) in (0..).zip(active).zip(agreed) {
                active.store(set.group_mask(group), Ordering::Relaxed);
                agreed.store(set.agreed_mask(group), Ordering::Relaxed);
            }
            // The ids before are there, and never change.
            for processor in known.get(self.known..).unwrap_or_default() {
                store(IDS_AT + processor.index.as_usize() * 4, processor.id.0);
            }
            for (nth, processor) in set.proposed().iter().enumerate() {
                store(PROPOSALS_AT + nth * 8, processor.index.get());
                store(PROPOSALS_AT + nth * 8 + 4, processor.id.0);
            }
            store(KNOWN_AT, number(known.len()));
            store(PROPOSED_AT, number(set.proposed().len()));
            // In the change as well, so that a copy has the epoch of its own set.
            let summary = (set.epoch().0 << COUNT_BITS) | u64::from(set.count());
            map.long(SUMMARY_AT).store(summary, Ordering::Relaxed);
        });
        self.known = known.len();
        let waits = map.word(WAIT_AT);
        let word = waiting_for(set.epoch().0);
        // Release: a reader that sees the new word finds a set at least as new. A set with other proposals only has the same
        // epoch, and wakes no reader.
        if waits.swap(word, Ordering::Release) != word {
            wake(&self.map);
        }
    }
}

/// A file without a path, whose length can be sealed.
pub(crate) fn memory_file(name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Some systems allow no memory files that could be executed, and kernels before 6.3 do not know the flag.
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        made => made,
    }
}

/// Wakes all readers.
fn wake(map: &Map) {
    // The kernel takes the number as a signed one. A failure would wake no reader; readers look again after a second.
    let all = i32::MAX.cast_unsigned();
    let _ = futex::wake(map.word(WAIT_AT), futex::Flags::empty(), all);
}

impl Drop for PageWriter {
    fn drop(&mut self) {
        if let Some(path) = self.path.as_ref().filter(|_| self.is_in_place()) {
            let _ = fs::remove_file(path);
        }
        // Release: like a change.
        self.map.word(WAIT_AT).fetch_or(ENDED, Ordering::Release);
        wake(&self.map);
    }
}
