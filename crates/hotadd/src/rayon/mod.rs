//! A [rayon] pool that follows the partition. Needs the feature `rayon`.
//!
//! A rayon pool has the number of threads with which it was built, for ever. So [`Pool`] builds another one when a processor joins or
//! leaves, and gives it all new work. Work that has begun stays in the former pool, whose threads end after it.
//!
//! rayon's global pool, in which parallel iterators run outside of [`Pool::install`], cannot be replaced. It stays as large as it
//! was at its first use.
//!
//! [rayon]: https://docs.rs/rayon

mod maker;

use std::fmt;
use std::sync::{Arc, Mutex};

use ::rayon::{ThreadPool, ThreadPoolBuilder};
use arc_swap::ArcSwap;
use hotadd_core::{Status, Veto};

use crate::error::Error;
use crate::partition::Partition;
use crate::registration::Registration;
use crate::resize::{self, Resize};
use crate::sync::lock;

use self::maker::Maker;

/// A rayon pool with one thread for each active processor.
///
/// The pool is a driver of the partition:
/// - **AddStart** builds a pool with one more thread. If the system cannot create the threads, the processor is refused (A3): this
///   is the only moment at which the pool can still say that it will not be able to use the processor. In AddFailure the new pool
///   is dropped.
/// - **AddComplete** gives new work to the new pool. The former one finishes its work, and its threads end.
/// - **RemoveComplete** builds a smaller pool. If that fails, the pool keeps its size, which costs time but loses nothing;
///   [`last_error`](Self::last_error) says so.
///
/// During a change both pools have threads. Work that never ends keeps a former pool for ever, with its number of threads. So divide
/// long work into parts: each [`install`](Self::install) uses the pool of its moment.
///
/// # Which processors the threads use
/// The threads are not pinned. They inherit the affinity mask of the thread that made the `Pool`, as it is when a pool is built. A
/// thread that may run on the whole set follows the partition (H3), and so do the threads of all later pools, whichever thread
/// adds the processor. A `Pool` that is made by a thread with a smaller mask of its own, such as a worker, stays within that mask.
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
    shared: Arc<Shared>,
    registration: Registration,
}

struct Shared {
    pool: ArcSwap<ThreadPool>,
    last_error: Mutex<Option<String>>,
}

impl Pool {
    /// Builds a pool with one thread for each active processor. `name` names the party and the threads: `NAME/0`, `NAME/1` and so
    /// on, shortened to 15 bytes.
    ///
    /// # Errors
    /// As [`Partition::register`]. [`Error::NoThread`] if the threads cannot be created.
    pub fn new(partition: &Partition, name: &str) -> Result<Self, Error> {
        Self::with_builder(partition, name, ThreadPoolBuilder::new)
    }

    /// Like [`new`](Self::new), but each pool is built with the options that `options` returns, such as the size of stacks and
    /// handlers of panics. The pool sets the number and the names of the threads.
    ///
    /// `options` is called on a thread of the pool's own. It must not call the partition: it is called while a transaction waits.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_builder(
        partition: &Partition,
        name: &str,
        options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> Result<Self, Error> {
        let maker = Maker::new(name, options).map_err(|e| Error::no_thread("a pool", &e))?;
        let pool =
            maker.make(resize::size(partition)).map_err(|e| Error::no_thread("a pool", &e))?;
        let shared = Arc::new(Shared { pool: ArcSwap::new(pool), last_error: Mutex::new(None) });
        let pools = Pools { shared: Arc::clone(&shared), maker, prepared: None };
        Ok(Self { registration: resize::follow(partition, name, pools)?, shared })
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
        self.shared.pool.load_full()
    }

    /// The number of threads of the present pool.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shared.pool.load().current_num_threads()
    }

    /// Why the pool does not have the size of the set, if the last change of size failed. Cleared by a change that succeeds.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        lock(&self.shared.last_error).clone()
    }

    /// The registration of the pool's driver.
    pub const fn registration(&self) -> &Registration {
        &self.registration
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

/// The pools, as the driver sees them.
struct Pools {
    shared: Arc<Shared>,
    maker: Maker,
    /// Built in AddStart.
    prepared: Option<Arc<ThreadPool>>,
}

impl Pools {
    fn take_prepared(&mut self, size: usize) -> Option<Arc<ThreadPool>> {
        self.prepared.take_if(|pool| pool.current_num_threads() == size)
    }
}

impl Resize for Pools {
    fn prepare(&mut self, size: usize) -> Result<(), Veto> {
        if self.prepared.as_ref().is_some_and(|pool| pool.current_num_threads() == size) {
            return Ok(());
        }
        // Before the next one is built, so that there are never more than two.
        self.prepared = None;
        let pool = self.maker.make(size).map_err(|error| {
            let reason = format!("a pool of {size} threads could not be built: {error}");
            let status = error.raw_os_error().map_or(Status::INSUFFICIENT_RESOURCES, |errno| {
                Status::from_errno(hotadd_core::Errno::from_raw(errno))
            });
            Veto::new(status, reason)
        })?;
        self.prepared = Some(pool);
        Ok(())
    }

    fn cancel(&mut self) {
        self.prepared = None;
    }

    fn resize(&mut self, size: usize) {
        let present = self.shared.pool.load().current_num_threads();
        let made = match self.take_prepared(size) {
            Some(pool) => Ok(Some(pool)),
            None if present == size => Ok(None),
            None => self.maker.make(size).map(Some),
        };
        let error = match made {
            Ok(pool) => {
                // The former pool is dropped here, or by the last caller that uses it. Neither waits for its threads.
                pool.into_iter().for_each(|pool| self.shared.pool.store(pool));
                None
            }
            Err(error) => Some(format!(
                "a pool of {size} threads could not be built, and the one of {present} threads stays: {error}"
            )),
        };
        *lock(&self.shared.last_error) = error;
    }
}
