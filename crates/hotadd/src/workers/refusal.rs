//! [`Rejected`] and [`WouldDeadlock`]: why workers did not take a job, and why they did not wait.

use std::fmt;

use hotadd_core::ProcessorIndex;

/// A job that was not accepted. It was not run, and can be submitted elsewhere.
pub struct Rejected<F> {
    job: F,
    why: Rejection,
}

/// Why a job was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The processor is not in the partition, or has no worker (Q3).
    #[error(
        "the processor with index {index} is not in the set; submit the job to another one or to any"
    )]
    NotActive {
        /// The index.
        index: ProcessorIndex,
    },
    /// The parties have been asked to remove the processor (X1). It may stay.
    #[error(
        "the processor with index {index} is being removed; submit the job to another one or to any"
    )]
    Leaving {
        /// The index.
        index: ProcessorIndex,
    },
    /// There are too many unfinished jobs.
    #[error("{limit} jobs are not finished, which is the limit; wait until some are")]
    Full {
        /// The limit of [`WorkersBuilder::job_limit`](crate::WorkersBuilder::job_limit).
        limit: usize,
    },
}

impl<F> Rejected<F> {
    pub(super) const fn new(job: F, why: Rejection) -> Self {
        Self { job, why }
    }

    /// Why the job was not accepted.
    #[must_use]
    pub const fn why(&self) -> Rejection {
        self.why
    }

    /// The job.
    #[must_use]
    pub fn into_job(self) -> F {
        self.job
    }
}

impl<F> fmt::Debug for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("why", &self.why).finish_non_exhaustive()
    }
}

impl<F> fmt::Display for Rejected<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<F> std::error::Error for Rejected<F> {}

/// Waiting for jobs here would deadlock (D3). Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WouldDeadlock {
    /// The calling job would wait for itself. Wait on another thread.
    #[error("a job cannot wait for jobs of its own workers; wait on another thread")]
    InsideJob,
    /// A job may be waiting for the transaction that is in progress. Wait on another thread, or after the callback.
    #[error(
        "a driver's callback cannot wait for jobs, because a job may be waiting for the callback; wait after it"
    )]
    InsideCallback,
}
