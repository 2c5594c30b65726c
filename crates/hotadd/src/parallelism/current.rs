//! [`Current`]: the number in force, and its parts.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hotadd_core::ActiveSet;
use rustix::io::Errno;
use rustix::process::Pid;

use super::Limits;
use super::callbacks::Callbacks;
use super::quota::{Found, Quotas};
use crate::hardware::Mask;
use crate::observation::Observed;
use crate::sync::{AtomicU64, Ordering, lock};

/// Low bits of the word: the number, at most 2,048. The other bits: how often it has changed.
const NUMBER_BITS: u32 = 16;

pub(crate) struct Current {
    /// Number and epoch, for readers.
    word: AtomicU64,
    state: Mutex<State>,
    /// Locked before `state`, so that files are read without the lock for which a change of the set waits.
    quotas: Option<Mutex<Quotas>>,
    pub(super) callbacks: Callbacks,
}

struct State {
    set: Arc<ActiveSet>,
    /// `None` if the processors are simulated: no thread runs on them.
    confinement: Option<Confinement>,
    limits: Limits,
}

/// What is known of a [`Confined`].
struct Confinement {
    thread: Option<Pid>,
    found: Found,
}

/// What confines the threads beside the partition.
#[derive(Debug)]
pub(crate) struct Confined {
    /// The thread whose mask counts. `None` if none does.
    thread: Option<Pid>,
    quotas: Quotas,
    found: Found,
}

impl Confined {
    /// `root` is the folder with the kernel's files: `/`, but for tests.
    pub(super) fn new(root: PathBuf, thread: Option<Pid>) -> Self {
        let mut quotas = Quotas::new(root);
        let found = quotas.read();
        Self { thread, quotas, found }
    }
}

impl Confinement {
    /// The mask of the thread. If it has ended, that of the process's first thread, which the kernel keeps.
    fn mask(&self) -> Option<Result<Mask, Errno>> {
        let thread = self.thread?;
        // A thread of another process may have got the id meanwhile.
        let ours = format!("/proc/self/task/{thread}");
        let is_ours = rustix::fs::access(ours, rustix::fs::Access::EXISTS).is_ok();
        Some(Mask::of_thread(if is_ours { thread } else { rustix::process::getpid() }))
    }
}

impl Current {
    /// `None` if nothing but the set limits the number.
    pub(super) fn new(set: Arc<ActiveSet>, confined: Option<Confined>) -> Self {
        let (confinement, quotas) = confined
            .map(|Confined { thread, quotas, found }| (Confinement { thread, found }, quotas))
            .unzip();
        let limits = limits(&set, confinement.as_ref(), 0);
        let word = AtomicU64::new(word(&limits));
        let state = Mutex::new(State { set, confinement, limits });
        Self { word, state, quotas: quotas.map(Mutex::new), callbacks: Callbacks::default() }
    }

    /// Number and epoch.
    #[inline]
    pub(super) fn read(&self) -> (NonZero<usize>, u64) {
        // Acquire: pairs with the Release in `refresh`. A thread that sees a number with a new processor finds all that the
        // parties prepared for it.
        let word = self.word.load(Ordering::Acquire);
        let number = (word & ((1 << NUMBER_BITS) - 1)) as usize;
        (NonZero::new(number).unwrap_or(NonZero::<usize>::MIN), word >> NUMBER_BITS)
    }

    pub(super) fn limits(&self) -> Limits {
        lock(&self.state).limits.clone()
    }

    /// Whether anything but the set limits the number.
    pub(super) const fn is_confined(&self) -> bool {
        self.quotas.is_some()
    }

    /// The files whose writing changes a quota.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.quotas.iter().flat_map(|quotas| lock(quotas).files().collect::<Vec<_>>()).collect()
    }

    /// The partition has this set now. Sets come in order. Returns whether the number has changed; then [`tell`](Self::tell) must
    /// follow.
    pub(crate) fn set_changed(&self, set: &Arc<ActiveSet>) -> bool {
        let mut state = lock(&self.state);
        state.set = Arc::clone(set);
        self.refresh(&mut state)
    }

    /// Reads the mask and the quotas again. Returns as [`set_changed`](Self::set_changed).
    pub(super) fn look(&self) -> bool {
        let Some(quotas) = &self.quotas else { return false };
        let mut quotas = lock(quotas);
        let found = quotas.read();
        let mut state = lock(&self.state);
        // The lock of the quotas is still held: the last thread has read them last.
        if let Some(confinement) = &mut state.confinement {
            confinement.found = found;
        }
        self.refresh(&mut state)
    }

    fn refresh(&self, state: &mut State) -> bool {
        let (number, epoch) = (state.limits.number, state.limits.epoch);
        let mut limits = limits(&state.set, state.confinement.as_ref(), epoch);
        let changed = limits.number != number;
        limits.epoch += u64::from(changed);
        // Release: see `read`.
        self.word.store(word(&limits), Ordering::Release);
        state.limits = limits;
        changed
    }

    /// Tells the callbacks, if they do not know the number yet.
    pub(crate) fn tell(&self) {
        self.callbacks.tell(|| self.limits());
    }
}

impl Observed for Current {
    fn drop_ended(&self) {
        self.callbacks.sweep();
    }
}

fn limits(set: &ActiveSet, confinement: Option<&Confinement>, epoch: u64) -> Limits {
    let counts = (set.count(), set.epoch());
    let Some(confinement) = confinement else {
        return Limits::of(counts, None, None, Vec::new(), epoch);
    };
    let Found { lowest, mut unknown } = confinement.found.clone();
    let mask = match confinement.mask() {
        None => None,
        Some(Ok(mask)) => {
            let within = set.iter().filter(|processor| mask.contains(processor.id)).count();
            u32::try_from(within).ok()
        }
        Some(Err(errno)) => {
            let errno = hotadd_core::Errno::from_raw(errno.raw_os_error());
            unknown.push(format!("the affinity mask cannot be read: {errno}"));
            None
        }
    };
    Limits::of(counts, mask, lowest, unknown, epoch)
}

fn word(limits: &Limits) -> u64 {
    // The set has at most 2,048 processors, and the number is not larger.
    (limits.epoch << NUMBER_BITS) | limits.number.get() as u64
}
