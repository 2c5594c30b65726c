//! [`Table`]: the objects that a program holds, by handle.
//!
//! To the program a handle is a pointer to an opaque structure. Here it is a number that is never given out again, and never
//! dereferenced. So a handle that is NULL, stale or of another kind is recognised (D2).

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotadd::Status;

use crate::failure::{self, Failure};

/// The most objects of one kind.
const MOST: usize = 1 << 20;

/// The object of one kind, by handle.
pub(crate) struct Table<T> {
    /// What a handle is called in errors.
    kind: &'static str,
    objects: Mutex<BTreeMap<usize, Arc<T>>>,
}

impl<T> Table<T> {
    pub(crate) const fn new(kind: &'static str) -> Self {
        Self { kind, objects: Mutex::new(BTreeMap::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<T>>> {
        // Nothing panics while the lock is held but for want of memory, which leaves the map whole.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an object a handle.
    pub(crate) fn insert<P>(&self, object: Arc<T>) -> Result<*mut P, Failure> {
        let mut objects = self.lock();
        if objects.len() >= MOST {
            let message = format!(
                "this program has {MOST} objects of the kind {}, which is the limit; free one first",
                self.kind
            );
            return Err(Failure::new(Status::QUOTA_EXCEEDED, message));
        }
        let handle = next();
        objects.insert(handle, object);
        Ok(ptr::without_provenance_mut(handle))
    }

    /// The object of a handle.
    pub(crate) fn get<P>(&self, handle: *const P) -> Result<Arc<T>, Failure> {
        let found = self.lock().get(&handle.addr()).map(Arc::clone);
        found.ok_or_else(|| self.stale(handle))
    }

    /// Takes the handle of an object back.
    pub(crate) fn remove<P>(&self, handle: *const P) -> Result<Arc<T>, Failure> {
        let found = self.lock().remove(&handle.addr());
        found.ok_or_else(|| self.stale(handle))
    }

    fn stale<P>(&self, handle: *const P) -> Failure {
        let kind = self.kind;
        let message = match handle.addr() {
            // Usually because the call that should have made it failed, and the program did not check that.
            0 => match failure::before() {
                Some(before) => format!("the {kind} is NULL; the failure before this: {before}"),
                None => format!("the {kind} is NULL"),
            },
            other => format!("{other:#x} is not a {kind}, or no longer one (D2)"),
        };
        Failure::new(Status::INVALID_HANDLE, message)
    }
}

/// A number that was not given out before.
pub(crate) fn next() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: the number orders nothing. 64 bits do not overflow.
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

#[cfg(target_pointer_width = "32")]
compile_error!("handles are numbers that are never reused, which needs 64 bits");
