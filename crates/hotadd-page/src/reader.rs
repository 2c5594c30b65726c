//! [`SetPage`]: a reader's side.

use std::fs::{File, OpenOptions};
use std::hint::spin_loop;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hotadd_core::{Epoch, MAX_GROUPS, MAX_PROCESSORS};
use rustix::fs::{OFlags, SealFlags, Timespec, fcntl_get_seals};
use rustix::io::Errno;
use rustix::process::geteuid;
use rustix::thread::futex;

use crate::error::PageError;
use crate::layout::{
    ACTIVE_AT, AGREED_AT, COUNT_BITS, ENDED, IDS_AT, KNOWN_AT, LENGTH, MAGIC, MAXIMUM_AT,
    PROPOSALS_AT, PROPOSED_AT, SEQUENCE_AT, SUMMARY_AT, VERSION, VERSION_AT, WAIT_AT, waiting_for,
};
use crate::map::Map;
use crate::snapshot::Snapshot;
use crate::{alive, seqlock};

const GROUPS: usize = MAX_GROUPS as usize;

/// How often a waiting reader checks whether the partition's process has ended.
const LOOK: Duration = Duration::from_secs(1);

/// How long a page may be half written. A live partition writes it in microseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many failed copies a reader makes at once before it lets others run.
const SPINS: u32 = 64;

/// The active set of a partition, read from its page.
///
/// All methods may be called from any thread. None of them takes a lock.
#[derive(Debug)]
pub struct SetPage {
    path: PathBuf,
    file: File,
    map: Map,
}

impl SetPage {
    /// Opens the page at a path: the path of the partition's socket, and `.set`. For the machine's partition this is
    /// `/run/hotadd/system.set`.
    ///
    /// # Errors
    /// If there is no file, if it is not a page of this version, or if it belongs to another user than root and this one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PageError> {
        let path = path.as_ref();
        let failed = |what| move |error| PageError::system(what, path, error);
        #[expect(clippy::cast_possible_wrap, reason = "the flags are small numbers")]
        let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32;
        let file =
            OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed("open"))?;
        let owner = file.metadata().map_err(failed("examine"))?.uid();
        if owner != 0 && owner != geteuid().as_raw() {
            return Err(PageError::Owner { path: path.to_owned(), owner });
        }
        Self::of(path, file)
    }

    /// Reads the page that this descriptor leads to, as a partition [hands it out](crate::PageWriter::descriptor).
    ///
    /// # Errors
    /// If it is not a page of this version, or if its length is not sealed.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, PageError> {
        let (path, file) = (Path::new("(a page without a path)"), File::from(descriptor));
        let seals = fcntl_get_seals(&file).unwrap_or(SealFlags::empty());
        if !seals.contains(SealFlags::SHRINK) {
            let why = "its length is not sealed".to_owned();
            return Err(PageError::NoPage { path: path.to_owned(), why });
        }
        Self::of(path, file)
    }

    fn of(path: &Path, file: File) -> Result<Self, PageError> {
        let map = Map::new(&file, LENGTH, false)
            .map_err(|error| PageError::system("map", path, error))?;
        let no_page = |why: String| PageError::NoPage { path: path.to_owned(), why };
        if map.long(0).load(Ordering::Relaxed) != u64::from_ne_bytes(MAGIC) {
            return Err(no_page("it does not begin with \"hotadd\"".to_owned()));
        }
        let version = map.word(VERSION_AT).load(Ordering::Relaxed);
        if version != VERSION {
            return Err(no_page(format!(
                "it has version {version}, and this program reads version {VERSION}"
            )));
        }
        Ok(Self { path: path.to_owned(), file, map })
    }

    /// The path that was opened, or a text in parentheses.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The most processors that the partition ever has. Every index is below it.
    #[must_use]
    pub fn maximum(&self) -> u32 {
        self.map.word(MAXIMUM_AT).load(Ordering::Relaxed).min(MAX_PROCESSORS)
    }

    /// The epoch and the number of active processors, of the same set (Q2). One load.
    #[must_use]
    pub fn summary(&self) -> (Epoch, u32) {
        // Acquire: what the partition did before it published this epoch is visible to this thread.
        let word = self.map.long(SUMMARY_AT).load(Ordering::Acquire);
        (Epoch(word >> COUNT_BITS), (word & ((1 << COUNT_BITS) - 1)) as u32)
    }

    /// Changes with each change of the page: also when processors are proposed or withdrawn, which leaves the epoch as it is. Odd
    /// while a change is written.
    #[doc(hidden)]
    #[must_use]
    pub fn sequence(&self) -> u32 {
        // Acquire: the words that were written before are visible to this thread.
        self.map.word(SEQUENCE_AT).load(Ordering::Acquire)
    }

    /// The number of active processors. One load.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.summary().1
    }

    /// The epoch. One load.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.summary().0
    }

    /// Copies the active set.
    ///
    /// # Errors
    /// [`PageError::Ended`] if the partition ended in the middle of a change, [`PageError::Stuck`] if it has not finished one for a
    /// second.
    pub fn snapshot(&self) -> Result<Snapshot, PageError> {
        let mut snapshot = Snapshot::empty();
        self.refresh(&mut snapshot)?;
        Ok(snapshot)
    }

    /// Brings a snapshot of this page up to date. Hardware ids that it has already are not copied again, because they never change.
    ///
    /// # Errors
    /// [`PageError::Ended`] if the partition ended in the middle of a change, [`PageError::Stuck`] if it has not finished one for a
    /// second. The snapshot is then unchanged or has new hardware ids only.
    pub fn refresh(&self, snapshot: &mut Snapshot) -> Result<(), PageError> {
        let mut began = None;
        for attempt in 1_u32.. {
            if self.try_copy(snapshot) {
                return Ok(());
            }
            if attempt % SPINS != 0 {
                spin_loop();
                continue;
            }
            if began.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                break;
            }
            thread::yield_now();
        }
        Err(if self.is_ended() { PageError::Ended } else { PageError::Stuck })
    }

    /// Copies once, unless a change comes in between.
    fn try_copy(&self, snapshot: &mut Snapshot) -> bool {
        // Relaxed throughout: the seqlock orders these loads.
        let load = |word: &AtomicU32| word.load(Ordering::Relaxed);
        let masks = |at: usize| {
            let longs = self.map.longs(at, GROUPS);
            std::array::from_fn(|group| longs[group].load(Ordering::Relaxed))
        };
        let count = |at: usize| load(self.map.word(at)).min(MAX_PROCESSORS) as usize;
        let Snapshot { ids, proposed, .. } = snapshot;
        let copied = seqlock::read(self.map.word(SEQUENCE_AT), || {
            // Those that are there are right. If the copy fails, they are copied again.
            let first = ids.len().min(MAX_PROCESSORS as usize);
            let new = count(KNOWN_AT).saturating_sub(first);
            ids.extend(self.map.words(IDS_AT + first * 4, new).iter().map(load));
            let pairs = self.map.words(PROPOSALS_AT, count(PROPOSED_AT) * 2);
            proposed.clear();
            proposed.extend(pairs.chunks_exact(2).map(|pair| (load(&pair[0]), load(&pair[1]))));
            let epoch = self.map.long(SUMMARY_AT).load(Ordering::Relaxed) >> COUNT_BITS;
            (masks(ACTIVE_AT), masks(AGREED_AT), Epoch(epoch))
        });
        let Some((active, agreed, epoch)) = copied else {
            // It may have ids of a change that was not finished.
            ids.clear();
            return false;
        };
        (snapshot.active, snapshot.agreed, snapshot.epoch) = (active, agreed, epoch);
        true
    }

    /// Waits until the epoch is another than this one, and gives the new one; `None` if the time limit passes first.
    ///
    /// # Errors
    /// [`PageError::Ended`] if the partition has ended. If its process was killed, this is noticed within a second.
    pub fn wait(&self, seen: Epoch, limit: Option<Duration>) -> Result<Option<Epoch>, PageError> {
        let began = Instant::now();
        loop {
            // Acquire: pairs with the Release of the writer.
            let word = self.map.word(WAIT_AT).load(Ordering::Acquire);
            if word & ENDED != 0 {
                return Err(PageError::Ended);
            }
            if word != waiting_for(seen.0) {
                return Ok(Some(self.epoch()));
            }
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            let step = left.map_or(LOOK, |left| left.min(LOOK));
            let step = Timespec::try_from(step).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            match futex::wait(self.map.word(WAIT_AT), futex::Flags::empty(), word, Some(&step)) {
                Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::TIMEDOUT) if self.is_ended() => return Err(PageError::Ended),
                Err(Errno::TIMEDOUT) => {}
                Err(error) => return Err(PageError::system("wait on", &self.path, error)),
            }
        }
    }

    /// Whether the partition has ended. A call into the kernel.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        let ended = self.map.word(WAIT_AT).load(Ordering::Acquire) & ENDED != 0;
        // Where the kernel gives no answer, a partition that says nothing of its end is taken to live.
        ended || !alive::is_held(&self.file).unwrap_or(true)
    }
}
