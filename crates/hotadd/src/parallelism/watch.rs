//! [`Watch`]: notices when a quota or a mask changes. One thread watches for all of this process's [`Current`]s.
//!
//! The kernel reports a write to a file of a quota by inotify. It reports nothing when the process moves to another cgroup, and
//! when a mask changes. So both are also read every 250 ms, as a partition reads masks.

use std::collections::BTreeMap;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use rustix::fs::inotify;
use rustix::io::Errno;

use super::current::Current;
use crate::hardware::watch::{self, Uevent, Watched};
use crate::hardware::{Nudge, Nudged};
use crate::sync::lock;

/// The watcher of this process, while somebody needs it.
static WATCH: Mutex<Weak<Watch>> = Mutex::new(Weak::new());

pub(super) struct Watch {
    watching: Mutex<Watching>,
    /// Where the kernel reports writes. `None` if it does not: the intervals remain.
    queue: Option<OwnedFd>,
    /// Closed when this is dropped, which ends the thread.
    watched: OnceLock<PipeWriter>,
}

#[derive(Default)]
struct Watching {
    all: Vec<Weak<Current>>,
    /// The watched files and their numbers in the queue.
    files: BTreeMap<PathBuf, i32>,
}

impl Watch {
    /// Watches for this one too, as long as the returned value and `current` live.
    pub(super) fn over(current: &Arc<Current>) -> Arc<Self> {
        let mut process = lock(&WATCH);
        let found = process.upgrade();
        let is_new = found.is_none();
        let watch = found.unwrap_or_else(|| Arc::new(Self::new()));
        lock(&watch.watching).all.push(Arc::downgrade(current));
        watch.follow();
        if is_new {
            *process = Arc::downgrade(&watch);
            let nudged: Weak<dyn Nudged> = Arc::<Self>::downgrade(&watch);
            watch::start(&watch, &watch.watched, Nudge(nudged));
        }
        drop(process);
        // What changed before the file was watched.
        current.look();
        watch
    }

    fn new() -> Self {
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        Self {
            watching: Mutex::default(),
            queue: inotify::init(flags).ok(),
            watched: OnceLock::new(),
        }
    }

    /// Those that still exist.
    fn all(&self) -> Vec<Arc<Current>> {
        let mut watching = lock(&self.watching);
        watching.all.retain(|current| current.strong_count() > 0);
        watching.all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Watches the files that are in use now, and no others.
    fn follow(&self) {
        let Some(queue) = &self.queue else { return };
        let mut used: Vec<_> = self.all().iter().flat_map(|current| current.files()).collect();
        used.sort_unstable();
        used.dedup();
        let mut watching = lock(&self.watching);
        let unused = |path: &PathBuf, _: &mut i32| used.binary_search(path).is_err();
        for (_, number) in watching.files.extract_if(.., unused) {
            // Fails if the cgroup was removed, and its file with it.
            let _ = inotify::remove_watch(queue, number);
        }
        for path in used {
            if !watching.files.contains_key(&path)
                // The root cgroup has no such file. Without a notice the interval remains.
                && let Ok(number) = inotify::add_watch(queue, &path, inotify::WatchFlags::MODIFY)
            {
                watching.files.insert(path, number);
            }
        }
    }
}

impl Watched for Watch {
    fn every(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// The partition hears of processors.
    fn listen(&self) -> Result<OwnedFd, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn receive(&self, _: &OwnedFd, _: &mut [u8]) -> Result<Option<usize>, Errno> {
        Err(Errno::OPNOTSUPP)
    }

    fn notices(&self) -> Result<OwnedFd, Errno> {
        let queue = self.queue.as_ref().ok_or(Errno::OPNOTSUPP)?;
        rustix::io::fcntl_dupfd_cloexec(queue, 0)
    }

    fn look(&self, _: &[Uevent], _: bool) -> bool {
        let mut changed = false;
        for current in self.all() {
            changed |= current.look();
        }
        self.follow();
        changed
    }
}

impl Nudged for Watch {
    fn nudge(&self) {
        self.all().iter().for_each(|current| current.tell());
    }
}
