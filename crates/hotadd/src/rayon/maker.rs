//! [`Maker`]: the thread that builds pools.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvError, Sender, channel};
use std::thread;

use ::rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::parallelism::Parallelism;
use crate::thread_name::thread_name;

/// Builds pools on a thread of its own, which ends when this is dropped.
///
/// A thread inherits the affinity mask of the thread that creates it. Pools are built while a processor is being added, on whichever
/// thread adds it, and that thread may be pinned; or on the thread that notices a change of a quota. This one was created together
/// with the pool and follows the partition like any other thread: when its mask grows, so do those of the threads that it has created.
pub(super) struct Maker(Sender<Order>);

struct Order {
    size: usize,
    made: Sender<io::Result<Arc<ThreadPool>>>,
}

impl Maker {
    /// Starts the thread. `parallelism` is called on it, because the mask of that thread counts, which those of the pools inherit.
    pub(super) fn new(
        name: &str,
        parallelism: impl FnOnce() -> Parallelism + Send + 'static,
        mut options: impl FnMut() -> ThreadPoolBuilder + Send + 'static,
    ) -> io::Result<(Self, Parallelism)> {
        let (orders, waiting) = channel::<Order>();
        let (made, number) = channel();
        let name = name.to_owned();
        let work = move || {
            // The caller waits for the result.
            let _ = made.send(parallelism());
            drop(made);
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
        let number = number.recv().map_err(ended)?;
        Ok((Self(orders), number))
    }

    /// Builds a pool. Waits until all of its threads are created.
    pub(super) fn make(&self, size: usize) -> io::Result<Arc<ThreadPool>> {
        let (made, result) = channel();
        self.0.send(Order { size, made }).map_err(|_| ended(RecvError))?;
        result.recv().map_err(ended)?
    }
}

/// The thread ends early only if `options` has panicked.
fn ended(_: RecvError) -> io::Error {
    io::Error::other("the thread that builds pools has panicked")
}

/// rayon's error is that of a thread, which the system could not create.
fn io_error(error: &ThreadPoolBuildError) -> io::Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    match cause.and_then(io::Error::raw_os_error) {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::other(error.to_string()),
    }
}
