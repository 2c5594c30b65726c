//! [`Maker`]: the thread that builds pools.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use ::rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::thread_name::thread_name;

/// Builds pools on a thread of its own, which ends when this is dropped.
///
/// A thread inherits the affinity mask of the thread that creates it. Pools are built while a processor is being added, on whichever
/// thread adds it, and that thread may be pinned. This one was created together with the pool and follows the partition like any
/// other thread: when its mask grows, so do those of the threads that it has created.
pub(super) struct Maker(Sender<Order>);

struct Order {
    size: usize,
    made: Sender<io::Result<Arc<ThreadPool>>>,
}

impl Maker {
    pub(super) fn new(
        name: &str,
        mut options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> io::Result<Self> {
        let (orders, waiting) = channel::<Order>();
        let name = name.to_owned();
        let work = move || {
            for Order { size, made } in waiting {
                let prefix = name.clone();
                let builder =
                    options().num_threads(size).thread_name(move |n| thread_name(&prefix, n));
                let pool = builder.build().map(Arc::new).map_err(|e| io_error(&e));
                // The caller waits for the result.
                let _ = made.send(pool);
            }
        };
        thread::Builder::new().name("hotadd-rayon".into()).spawn(work)?;
        Ok(Self(orders))
    }

    /// Builds a pool. Waits until all of its threads are created.
    pub(super) fn make(&self, size: usize) -> io::Result<Arc<ThreadPool>> {
        let (made, result) = channel();
        // The thread ends early only if `options` has panicked.
        let ended = |_| io::Error::other("the thread that builds pools has panicked");
        self.0.send(Order { size, made }).map_err(|_| ended(std::sync::mpsc::RecvError))?;
        result.recv().map_err(ended)?
    }
}

/// rayon's error is that of a thread, which the system could not create.
fn io_error(error: &ThreadPoolBuildError) -> io::Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::other(error.to_string()),
    }
}
