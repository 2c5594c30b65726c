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
    pub(super) callbacks: Callbacks,
}

struct State {
    set: Arc<ActiveSet>,
    /// `None` if the processors are simulated: no thread runs on them.
    confined: Option<Confined>,
    limits: Limits,
}

/// What confines the threads beside the partition.
#[derive(Debug)]
pub(crate) struct Confinement {
    /// The folder with the kernel's files: `/`, but for tests.
    pub(super) root: PathBuf,
    /// The thread whose mask counts. `None` if none does.
    pub(super) thread: Option<Pid>,
}

struct Confined {
    thread: Option<Pid>,
    quotas: Quotas,
    found: Found,
}

impl Confined {
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
    pub(super) fn new(set: Arc<ActiveSet>, confinement: Option<Confinement>) -> Self {
        let confined = confinement.map(|Confinement { root, thread }| {
            let mut quotas = Quotas::new(root);
            let found = quotas.read();
            Confined { thread, quotas, found }
        });
        let limits = limits(&set, confined.as_ref(), 0);
        let word = AtomicU64::new(word(&limits));
        let state = Mutex::new(State { set, confined, limits });
        Self { word, state, callbacks: Callbacks::default() }
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
    pub(super) fn is_confined(&self) -> bool {
        lock(&self.state).confined.is_some()
    }

    /// The files whose writing changes a quota.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        lock(&self.state).confined.iter().flat_map(|confined| confined.quotas.files()).collect()
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
        let mut state = lock(&self.state);
        if let Some(confined) = &mut state.confined {
            confined.found = confined.quotas.read();
        }
        self.refresh(&mut state)
    }

    fn refresh(&self, state: &mut State) -> bool {
        let (number, epoch) = (state.limits.number, state.limits.epoch);
        let mut limits = limits(&state.set, state.confined.as_ref(), epoch);
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

fn limits(set: &ActiveSet, confined: Option<&Confined>, epoch: u64) -> Limits {
    let counts = (set.count(), set.epoch());
    let Some(confined) = confined else {
        return Limits::of(counts, None, None, Vec::new(), epoch);
    };
    let Found { lowest, mut unknown } = confined.found.clone();
    let mask = match confined.mask() {
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
