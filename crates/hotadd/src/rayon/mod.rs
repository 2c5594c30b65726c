//! A [rayon] pool that follows the partition. Needs the feature `rayon`.
//!
//! A rayon pool has the number of threads with which it was built, for ever. So [`Pool`] builds another one when a processor joins or
//! leaves, or when the CPU quota changes, and gives it all new work. Work that has begun stays in the former pool, whose threads end
//! after it.
//!
//! rayon's global pool, in which parallel iterators run outside of [`Pool::install`], cannot be replaced. It stays as large as it
//! was at its first use.
//!
//! [rayon]: https://docs.rs/rayon

mod maker;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use ::rayon::{ThreadPool, ThreadPoolBuilder};
use arc_swap::ArcSwap;
use hotadd_core::{Status, Veto};

use crate::error::Error;
use crate::parallelism::Parallelism;
use crate::partition::Partition;
use crate::registration::Registration;
use crate::resize::{self, Following, Resize};
use crate::sync::lock;

use self::maker::Maker;

/// A rayon pool with as many threads as a [`Parallelism`] says: one for each active processor, as far as the affinity mask and the
/// CPU quota of the cgroup allow.
///
/// The pool is a driver of the partition:
/// - **AddStart** builds the pool for the number with the new processor, unless a quota or a mask keeps the number as it is. If the
///   system cannot create the threads, the processor is refused (A3): this is the only moment at which the pool can still say that
///   it will not be able to use the processor. In AddFailure the new pool is dropped.
/// - **AddComplete**: new work goes to the new pool. The former one finishes its work, and its threads end.
/// - **RemoveComplete**: the pool is smaller.
///
/// A change of the quota or the mask asks no party. The thread that notices it, `hotadd-watch`, replaces the pool.
///
/// If a pool cannot be built after a removal or a change of the quota, the present one stays. That costs time, but no work is lost,
/// and [`last_error`](Self::last_error) gives the reason.
///
/// During a change both pools have threads. Work that never ends keeps a former pool for ever, with its number of threads. So divide
/// long work into parts: each [`install`](Self::install) uses the pool of its moment.
///
/// # Which processors the threads use
/// The threads are not pinned. They inherit the affinity mask of the thread that made the `Pool`, as it is when a pool is built. A
/// thread that may run on the whole set follows the partition (H3), and so do the threads of all later pools, whichever thread
/// adds the processor. A `Pool` that is made by a thread with a smaller mask of its own, such as a worker, stays within that mask,
/// and has no more threads than the mask has processors.
/// If the set shrinks to that mask, the threads follow the set from then on: nothing distinguishes them from those that do.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::rayon::Pool;
/// use hotadd::{HardwareId, Partition};
/// use rayon::prelude::*;
///
/// let partition = Partition::simulated(&Simulated::new(1, 1)?)?;
/// let pool = Pool::new(&partition, "render")?;
/// assert_eq!(pool.size(), 1);
///
/// partition.add(HardwareId(1))?;
/// assert_eq!(pool.size(), 2);
/// let sum: u32 = pool.install(|| (1..=100_u32).into_par_iter().sum());
/// assert_eq!(sum, 5050);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    pools: Arc<Pools>,
    following: Following,
}

impl Pool {
    /// Builds a pool with as many threads as the partition's [`Parallelism`] says. `name` names the party and the threads: `NAME/0`,
    /// `NAME/1` and so on, shortened to 15 bytes.
    ///
    /// # Errors
    /// As [`Partition::register`]. [`Error::NoThread`] if the threads cannot be created.
    pub fn new(partition: &Partition, name: &str) -> Result<Self, Error> {
        Self::with_builder(partition, name, ThreadPoolBuilder::new)
    }

    /// Like [`new`](Self::new), but each pool is built with the options that `options` returns, such as the size of stacks and
    /// handlers of panics. The pool sets the number and the names of the threads.
    ///
    /// `options` is called on a thread of the pool's own. It must not call the partition: a transaction may wait for it.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_builder(
        partition: &Partition,
        name: &str,
        options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> Result<Self, Error> {
        let number = partition.clone();
        Self::of(partition, name, move || number.parallelism(), options)
    }

    /// A pool that follows the number that `parallelism` returns. It is called on the thread that builds the pools.
    pub(crate) fn of(
        partition: &Partition,
        name: &str,
        parallelism: impl FnOnce() -> Parallelism + Send + 'static,
        options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> Result<Self, Error> {
        let no_thread = |e: io::Error| Error::no_thread("a pool", &e);
        let (maker, parallelism) = Maker::new(name, parallelism, options).map_err(no_thread)?;
        let pool = maker.make(parallelism.get().get()).map_err(no_thread)?;
        let pools = Arc::new(Pools {
            present: ArcSwap::new(pool),
            last_error: Mutex::default(),
            making: Mutex::new(Making { maker, prepared: None }),
        });
        let following = resize::follow(partition, name, parallelism, Arc::clone(&pools))?;
        Ok(Self { pools, following })
    }

    /// Runs `work` in the present pool and waits for its result. Parallel iterators, `join` and `scope` inside it use that pool.
    ///
    /// May be called from any thread, also from a thread of a former pool, which helps its own pool meanwhile. Inside a callback of
    /// the partition, `work` must not call the partition, because it runs on another thread and would wait for the callback.
    ///
    /// # Panics
    /// If `work` panics.
    pub fn install<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.current().install(work)
    }

    /// Runs `work` in the present pool, and does not wait for it. The pool finishes it, even if it is replaced or dropped before.
    ///
    /// If `work` panics, rayon calls the handler of [`ThreadPoolBuilder::panic_handler`]. Without one it aborts the process.
    pub fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        self.current().spawn(work);
    }

    /// The present pool, for everything else that rayon offers. It is not replaced while it is held: work that comes later and
    /// uses it does not use the processors that have joined since.
    #[must_use]
    pub fn current(&self) -> Arc<ThreadPool> {
        self.pools.present.load_full()
    }

    /// The number of threads of the present pool.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pools.size()
    }

    /// Why the pool does not have the number of threads that [`parallelism`](Self::parallelism) says, if the last change of size failed. Cleared by a change that succeeds.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        lock(&self.pools.last_error).clone()
    }

    /// The registration of the pool's driver.
    pub const fn registration(&self) -> &Registration {
        self.following.registration()
    }

    /// The number that the pool follows, and which part of it decides.
    pub fn parallelism(&self) -> &Parallelism {
        self.following.parallelism()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size())
            .field("last_error", &self.last_error())
            .finish_non_exhaustive()
    }
}

/// The present pool, and those that are being made.
struct Pools {
    present: ArcSwap<ThreadPool>,
    last_error: Mutex<Option<String>>,
    /// Locked while the present pool is replaced.
    making: Mutex<Making>,
}

struct Making {
    maker: Maker,
    /// Built in AddStart.
    prepared: Option<Arc<ThreadPool>>,
}

impl Pools {
    fn size(&self) -> usize {
        self.present.load().current_num_threads()
    }
}

impl Making {
    fn take_prepared(&mut self, size: usize) -> Option<Arc<ThreadPool>> {
        self.prepared.take_if(|pool| pool.current_num_threads() == size)
    }
}

impl Resize for Pools {
    fn prepare(&self, size: usize) -> Result<(), Veto> {
        let mut making = lock(&self.making);
        if making.prepared.as_ref().is_some_and(|pool| pool.current_num_threads() == size) {
            return Ok(());
        }
        // Before the next one is built, so that there are never more than two.
        making.prepared = None;
        if self.size() == size {
            return Ok(());
        }
        let pool = making.maker.make(size).map_err(|error| {
            let reason = format!("a pool of {size} threads could not be built: {error}");
            let status = error.raw_os_error().map_or(Status::INSUFFICIENT_RESOURCES, |errno| {
                Status::from_errno(hotadd_core::Errno::from_raw(errno))
            });
            Veto::new(status, reason)
        })?;
        making.prepared = Some(pool);
        drop(making);
        Ok(())
    }

    fn cancel(&self) {
        lock(&self.making).prepared = None;
    }

    fn resize(&self, size: &dyn Fn() -> usize) {
        let mut making = lock(&self.making);
        let (size, present) = (size(), self.size());
        let made = match making.take_prepared(size) {
            Some(pool) => Ok(Some(pool)),
            None if present == size => Ok(None),
            None => making.maker.make(size).map(Some),
        };
        let error = match made {
            Ok(pool) => {
                // The former pool is dropped here, or by the last caller that uses it. Neither waits for its threads.
                pool.into_iter().for_each(|pool| self.present.store(pool));
                None
            }
            Err(error) => Some(format!(
                "a pool of {size} threads could not be built, and the one of {present} threads stays: {error}"
            )),
        };
        *lock(&self.last_error) = error;
    }
}
