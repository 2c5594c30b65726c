//! [`Sleepers`]: which workers sleep, so that a job for any processor wakes exactly one of them.

use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};

/// The workers that sleep or are about to. The last one that fell asleep is woken first: its caches are the warmest.
///
/// No job is left behind while a worker sleeps. A worker [enters](Self::enter) and then looks at the queue once more. A submitter
/// puts a job into the queue and then [takes](Self::take) a sleeper. Between the two steps of each there is a fence with the order
/// SeqCst. So at least one of them sees what the other did: the worker sees the job, or the submitter sees the worker.
#[derive(Debug)]
pub(crate) struct Sleepers {
    /// The length of the list, for submitters: without sleepers they take no lock.
    count: AtomicU64,
    /// Index and generation of each.
    list: Mutex<Vec<(u32, u64)>>,
}

impl Default for Sleepers {
    fn default() -> Self {
        Self { count: AtomicU64::new(0), list: Mutex::new(Vec::new()) }
    }
}

impl Sleepers {
    /// The worker is about to sleep. It must look at the queue after this.
    pub(crate) fn enter(&self, index: u32, generation: u64) {
        let mut list = lock(&self.list);
        list.push((index, generation));
        self.count.store(list.len() as u64, Ordering::Relaxed);
        drop(list);
        fence(Ordering::SeqCst);
    }

    /// The worker is awake. Returns false if it was taken meanwhile.
    pub(crate) fn leave(&self, index: u32, generation: u64) -> bool {
        let mut list = lock(&self.list);
        let at = list.iter().rposition(|sleeper| *sleeper == (index, generation));
        if let Some(at) = at {
            list.remove(at);
            self.count.store(list.len() as u64, Ordering::Relaxed);
        }
        at.is_some()
    }

    /// Takes a worker out, which the caller must wake. To be called after a job was queued.
    pub(crate) fn take(&self) -> Option<u32> {
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut list = lock(&self.list);
        let (index, _) = list.pop()?;
        self.count.store(list.len() as u64, Ordering::Relaxed);
        Some(index)
    }
}
