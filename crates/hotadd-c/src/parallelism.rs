//! `hotadd_parallelism_...`: the number of threads that a pool should have now.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::ffi::{c_int, c_void};
use std::num::NonZero;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;

use hotadd::{Limits, Observation, Status};

use crate::callee::{Data, Inside, entered};
use crate::failure::{Failure, value_or};
use crate::forked;
use crate::partition::{CPartition, PARTITIONS};
use crate::queue::{event, ring};

/// Told the new number.
type Changed = unsafe extern "C" fn(u32, *mut c_void);

/// The number as C holds it.
#[derive(Debug)]
pub struct Parallelism {
    /// Before the number: dropping it waits for the callback.
    changes: Observation,
    number: hotadd::Parallelism,
    descriptor: Arc<OwnedFd>,
}

/// As C sees it. There are far fewer than 2^32 processors.
fn number(number: NonZero<usize>) -> u32 {
    u32::try_from(number.get()).unwrap_or(u32::MAX)
}

/// The number behind a pointer of C.
///
/// # Safety
/// `parallelism` is NULL, or comes from `hotadd_parallelism_new` and was not freed.
unsafe fn open<'a>(parallelism: *const Parallelism) -> Result<&'a Parallelism, Failure> {
    // SAFETY: the caller's promise. It is only read.
    unsafe { parallelism.as_ref() }
        .ok_or_else(|| Failure::new(Status::INVALID_HANDLE, "the parallelism is NULL"))
}

/// Keeps the number up to date.
///
/// # Safety
/// `changed` is NULL, or may be called with `data`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_parallelism_new(
    partition: *mut CPartition,
    changed: Option<Changed>,
    data: *mut c_void,
) -> *mut Parallelism {
    let made = forked::check().and_then(|()| {
        let member = PARTITIONS.get(partition)?;
        let descriptor = Arc::new(event()?);
        let parallelism = member.partition.parallelism();
        let (rung, data) = (Arc::clone(&descriptor), Data::new(data));
        let changes = parallelism.on_change(move |limits: &Limits| {
            ring(&rung);
            if let Some(changed) = changed {
                entered(Inside::Transaction, || {
                    // SAFETY: the program promised such a function.
                    unsafe { changed(number(limits.number), data.get()) };
                });
            }
        });
        Ok(Box::into_raw(Box::new(Parallelism { changes, number: parallelism, descriptor })))
    });
    value_or(made, ptr::null_mut())
}

/// Ends it, its callback and its descriptor.
///
/// # Safety
/// `parallelism` is NULL, or comes from `hotadd_parallelism_new`, was not freed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_parallelism_free(parallelism: *mut Parallelism) {
    if !parallelism.is_null() && forked::check().is_ok() {
        // SAFETY: the caller's promise: this is the box of `hotadd_parallelism_new`, for the last time.
        let Parallelism { changes, number, descriptor } = *unsafe { Box::from_raw(parallelism) };
        drop(changes);
        drop((number, descriptor));
    }
}

/// The number, at least 1. 0 if the pointer is NULL.
///
/// # Safety
/// `parallelism` is NULL, or comes from `hotadd_parallelism_new` and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_parallelism_get(parallelism: *const Parallelism) -> u32 {
    // SAFETY: the caller's promise.
    let parallelism = unsafe { open(parallelism) };
    value_or(parallelism.map(|parallelism| number(parallelism.number.get())), 0)
}

/// The descriptor that is readable after a change. -1 on an error.
///
/// # Safety
/// `parallelism` is NULL, or comes from `hotadd_parallelism_new` and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_parallelism_fd(parallelism: *const Parallelism) -> c_int {
    // SAFETY: the caller's promise.
    let parallelism = unsafe { open(parallelism) };
    value_or(parallelism.map(|parallelism| parallelism.descriptor.as_raw_fd()), -1)
}
