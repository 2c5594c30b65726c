//! A budget for [tokio] tasks that follows the partition. Needs the feature `tokio`.
//!
//! # What cannot be resized
//! A tokio runtime has the number of worker threads with which it was built, for ever: `worker_threads` is read once by the builder.
//! Each worker has a queue, and the others steal from it. Their list is fixed, so that stealing needs no lock. The limit of threads for
//! blocking tasks, `max_blocking_threads`, is fixed in the same way. By default `worker_threads` is the number of processors at that
//! moment, so a runtime that was built on one processor never uses a second one for its tasks.
//!
//! # What to do
//! Build the runtime with as many workers as the partition can ever have, and limit the work by a [`Budget`]. A worker that has
//! nothing to do sleeps, and costs the memory of a thread. A budget is a semaphore: it has permits for each processor that the tasks
//! can use, as [`Parallelism`] counts them, and a task waits for a permit before it computes.
//!
//! ```
//! use std::sync::Arc;
//!
//! use hotadd::hardware::Simulated;
//! use hotadd::tokio::Budget;
//! use hotadd::{HardwareId, Partition};
//!
//! let partition = Partition::simulated(&Simulated::new(1, 3)?)?;
//! let runtime = tokio::runtime::Builder::new_multi_thread()
//!     .worker_threads(partition.active().maximum() as usize)
//!     .build()?;
//! // One computation for each processor, and eight blocking tasks, which mostly wait.
//! let compute = Arc::new(Budget::new(&partition, "compute", 1)?);
//! let blocking = Arc::new(Budget::new(&partition, "blocking", 8)?);
//! assert_eq!((compute.size(), blocking.size()), (1, 8));
//!
//! partition.add(HardwareId(1))?;
//! assert_eq!((compute.size(), blocking.size()), (2, 16));
//!
//! let task = runtime.spawn(async move {
//!     let _permit = compute.acquire().await;
//!     (1..=100_u32).sum::<u32>()
//! });
//! let file = runtime.spawn(async move {
//!     let permit = blocking.acquire().await;
//!     tokio::task::spawn_blocking(move || {
//!         let _permit = permit; // held until the blocking task is over
//!         std::fs::read_to_string("/proc/self/comm")
//!     })
//!     .await
//! });
//! assert_eq!(runtime.block_on(task)?, 5050);
//! assert!(runtime.block_on(file)??.is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A partition of affinity masks can have as many processors as the machine, up to 1,024. If that is too many threads, choose the number
//! of workers yourself, and give the budget no more permits than there are workers by [`Budget::with_limit`].
//!
//! The runtime's threads are not pinned. They follow the partition like all threads of the process (H3).
//!
//! [tokio]: https://docs.rs/tokio

use std::fmt;
use std::sync::{Arc, Mutex};

use ::tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;
use crate::parallelism::Parallelism;
use crate::partition::Partition;
use crate::registration::Registration;
use crate::resize::{self, Following, Resize};
use crate::sync::lock;

/// A semaphore with a number of permits for each thread that a [`Parallelism`] counts: for each active processor, as far as the
/// affinity mask and the CPU quota of the cgroup allow. The mask is that of the thread that makes the budget.
///
/// The budget is a driver of the partition, and agrees to every processor: permits cost nothing. In AddComplete it has more permits,
/// and waiting tasks go on. In RemoveComplete it has fewer. A change of the quota or the mask changes the number at any time. No
/// permit that is held is revoked: if too few are free, the next ones that are returned are withdrawn.
///
/// Tasks get permits in the order in which they asked. All methods may be called from any thread, also inside callbacks.
pub struct Budget {
    core: Arc<Core>,
    following: Following,
}

/// Work may be done while this is held. Dropping it returns the permit.
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct Permit {
    core: Arc<Core>,
    /// `None` only while this is dropped.
    permit: Option<OwnedSemaphorePermit>,
}

/// The semaphore has `size` permits, those that are held included, and `debt` more, which are all held.
struct Core {
    semaphore: Arc<Semaphore>,
    account: Mutex<Account>,
}

#[derive(Default)]
struct Account {
    size: usize,
    /// Permits that are withdrawn when they are returned.
    debt: usize,
}

impl Budget {
    /// Makes a budget with `per_processor` permits, at least 1, for each thread that the partition's [`Parallelism`] counts. `name`
    /// names the party.
    ///
    /// # Errors
    /// As [`Partition::register`].
    pub fn new(partition: &Partition, name: &str, per_processor: usize) -> Result<Self, Error> {
        Self::with_limit(partition, name, per_processor, Semaphore::MAX_PERMITS)
    }

    /// Like [`new`](Self::new), but with at most `limit` permits in total, at least 1.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_limit(
        partition: &Partition,
        name: &str,
        per_processor: usize,
        limit: usize,
    ) -> Result<Self, Error> {
        let permits = Permits::new(per_processor, limit);
        Self::of(partition, name, partition.parallelism(), permits)
    }

    /// A budget that follows this number.
    pub(crate) fn of(
        partition: &Partition,
        name: &str,
        parallelism: Parallelism,
        permits: Permits,
    ) -> Result<Self, Error> {
        let core = Arc::clone(&permits.core);
        let following = resize::follow(partition, name, parallelism, Arc::new(permits))?;
        Ok(Self { core, following })
    }

    /// Waits for a permit.
    ///
    /// Cancel safe: a future that is dropped loses its place among the waiting tasks, and no permit.
    pub async fn acquire(&self) -> Permit {
        match Arc::clone(&self.core.semaphore).acquire_owned().await {
            Ok(permit) => Permit { core: Arc::clone(&self.core), permit: Some(permit) },
            Err(_) => unreachable!("nothing closes the semaphore"),
        }
    }

    /// A permit, if one is free now.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let permit = Arc::clone(&self.core.semaphore).try_acquire_owned().ok()?;
        Some(Permit { core: Arc::clone(&self.core), permit: Some(permit) })
    }

    /// The number of permits that the budget has now. More may be held for a while after it has shrunk.
    #[must_use]
    pub fn size(&self) -> usize {
        lock(&self.core.account).size
    }

    /// The number of permits that are free now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.core.semaphore.available_permits()
    }

    /// The registration of the budget's driver.
    pub const fn registration(&self) -> &Registration {
        self.following.registration()
    }

    /// The number that the budget follows, and which part of it decides.
    pub fn parallelism(&self) -> &Parallelism {
        self.following.parallelism()
    }
}

impl Core {
    fn resize(&self, size: impl Fn() -> usize) {
        let mut account = lock(&self.account);
        let size = size();
        let (grown, shrunk) =
            (size.saturating_sub(account.size), account.size.saturating_sub(size));
        account.size = size;
        // Permits that are still to be withdrawn need not be withdrawn any more.
        let forgiven = grown.min(account.debt);
        account.debt = account.debt - forgiven + shrunk;
        account.withdraw(&self.semaphore);
        drop(account);
        // Without the lock: this wakes tasks, and a waker may run any code.
        self.semaphore.add_permits(grown - forgiven);
    }
}

impl Account {
    /// Withdraws free permits until there is no debt.
    fn withdraw(&mut self, semaphore: &Semaphore) {
        if self.debt > 0 {
            self.debt -= semaphore.forget_permits(self.debt);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut account = lock(&self.core.account);
        if account.debt > 0 {
            account.debt -= 1;
            permit.forget();
            return;
        }
        drop(account);
        // Without the lock, as in `resize`.
        drop(permit);
        // The budget may have shrunk between the two, and have missed this permit.
        lock(&self.core.account).withdraw(&self.core.semaphore);
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("size", &self.size())
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// The permits, as the driver sees them.
pub(crate) struct Permits {
    core: Arc<Core>,
    per_processor: usize,
    limit: usize,
}

impl Permits {
    /// At least one for each processor, and at most `limit` in total, at least 1.
    pub(crate) fn new(per_processor: usize, limit: usize) -> Self {
        let semaphore = Arc::new(Semaphore::new(0));
        Self {
            core: Arc::new(Core { semaphore, account: Mutex::default() }),
            per_processor: per_processor.max(1),
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
        }
    }
}

impl Resize for Permits {
    fn resize(&self, size: &dyn Fn() -> usize) {
        self.core.resize(|| size().saturating_mul(self.per_processor).min(self.limit));
    }
}
