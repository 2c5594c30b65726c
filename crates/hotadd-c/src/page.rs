//! `hotadd_page_...`: the active set of a partition, read from its page.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::ffi::{c_char, c_int};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{ptr, thread};

use hotadd::{Epoch, Errno, Error, SetPage};
use rustix::fd::{AsRawFd, OwnedFd};

use crate::failure::{Failure, failed, text, value_or};
use crate::partition::{write_epoch, write_ids};
use crate::queue::{event, ring};

/// How often a thread behind a descriptor checks whether the page was closed.
const LOOK: Duration = Duration::from_secs(1);

/// An open page.
#[derive(Debug)]
pub struct Page {
    page: Arc<SetPage>,
    /// Made by the first `hotadd_page_fd`.
    notifier: OnceLock<Notifier>,
}

/// A descriptor that is readable after each change, and the flag that ends its thread.
#[derive(Debug)]
struct Notifier {
    descriptor: Arc<OwnedFd>,
    closed: Arc<AtomicBool>,
}

impl Drop for Notifier {
    fn drop(&mut self) {
        // Relaxed: a flag alone. The thread sees it within a second, and has its own handles of everything that it uses.
        self.closed.store(true, Ordering::Relaxed);
    }
}

/// The page behind a pointer of C, or an error for NULL.
///
/// # Safety
/// `page` is NULL, or comes from `hotadd_page_open` and was not closed.
unsafe fn open<'a>(page: *const Page) -> Result<&'a Page, Failure> {
    // SAFETY: the caller's promise; a `Page` is never changed but through its own locks.
    unsafe { page.as_ref() }.ok_or_else(|| Failure::invalid("the page is NULL"))
}

/// Opens the page of a partition by its name or path.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_open(name: *const c_char) -> *mut Page {
    // SAFETY: the caller guarantees a C string.
    let name = unsafe { text(name) };
    let opened = name.and_then(|name| {
        let path = match name {
            name if hotadd_wire::is_name(name) => {
                hotadd_wire::runtime_dir().join(format!("{name}.set"))
            }
            path => PathBuf::from(path),
        };
        SetPage::open(path).map_err(Failure::from)
    });
    let boxed =
        |page| Box::into_raw(Box::new(Page { page: Arc::new(page), notifier: OnceLock::new() }));
    value_or(opened.map(boxed), ptr::null_mut())
}

/// Closes a page, and the descriptor of `hotadd_page_fd`.
///
/// # Safety
/// `page` is NULL, or comes from `hotadd_page_open`, was not closed, and is not used any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_close(page: *mut Page) {
    if !page.is_null() {
        // SAFETY: the caller's promise: this is the box of `hotadd_page_open`, for the last time.
        drop(unsafe { Box::from_raw(page) });
    }
}

/// The epoch and the number of active processors, which belong together. 0 if the page is NULL.
///
/// # Safety
/// `page` is NULL or an open page; `epoch` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_count(page: *const Page, epoch: *mut u64) -> u32 {
    // SAFETY: the caller's promise.
    let summary = unsafe { open(page) }.map_or((Epoch(0), 0), |page| page.page.summary());
    // SAFETY: the caller's promise.
    unsafe { write_epoch(summary.0, epoch) };
    summary.1
}

/// Writes the hardware ids of the active processors, at most `length`, and returns how many there are. `(size_t)-1` on an error.
///
/// # Safety
/// `page` is NULL or an open page; `ids` has room for `length`, or `length` is 0; `epoch` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_members(
    page: *const Page,
    ids: *mut u32,
    length: usize,
    epoch: *mut u64,
) -> usize {
    // SAFETY: the caller's promise.
    let page = unsafe { open(page) };
    let snapshot = page.and_then(|page| Ok(page.page.snapshot()?));
    let count = snapshot.map(|snapshot| {
        let found: Vec<u32> = snapshot.iter().map(|processor| processor.id.0).collect();
        // SAFETY: the caller's promise.
        unsafe { write_epoch(snapshot.epoch(), epoch) };
        // SAFETY: the caller's promise.
        unsafe { write_ids(&found, ids, length) }
    });
    value_or(count, usize::MAX)
}

/// Waits until the epoch is another than `seen`: 1. The time limit passed: 0. The partition has ended, or an error: -1.
///
/// # Safety
/// `page` is NULL or an open page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_wait(
    page: *const Page,
    seen: u64,
    milliseconds: c_int,
) -> c_int {
    // A negative number means no limit.
    let limit = u64::try_from(milliseconds).ok().map(Duration::from_millis);
    // SAFETY: the caller's promise.
    let page = unsafe { open(page) };
    match page.and_then(|page| page.page.wait(Epoch(seen), limit).map_err(Failure::from)) {
        Ok(Some(_)) => 1,
        Ok(None) => 0,
        Err(error) => {
            failed(error);
            -1
        }
    }
}

/// A descriptor for poll: readable after a change of the set, and when the partition has ended. -1 on an error.
///
/// # Safety
/// `page` is NULL or an open page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_page_fd(page: *const Page) -> c_int {
    // SAFETY: the caller's promise.
    let descriptor = unsafe { open(page) }.and_then(|page| {
        if page.notifier.get().is_none() {
            // Two threads at once: the second notifier is dropped, and its thread ends.
            let _ = page.notifier.set(notifier(&page.page)?);
        }
        let notifier = page.notifier.get();
        notifier
            .map(|notifier| notifier.descriptor.as_raw_fd())
            .ok_or_else(|| unreachable!("it was set"))
    });
    descriptor.unwrap_or_else(|error| {
        failed(error);
        -1
    })
}

/// Starts the thread that waits for changes.
fn notifier(page: &Arc<SetPage>) -> Result<Notifier, Failure> {
    let notifier = Notifier { descriptor: Arc::new(event()?), closed: Arc::default() };
    let (page, descriptor, closed) =
        (Arc::clone(page), Arc::clone(&notifier.descriptor), Arc::clone(&notifier.closed));
    let mut seen = page.epoch();
    let watch = move || {
        while !closed.load(Ordering::Relaxed) {
            match page.wait(seen, Some(LOOK)) {
                Ok(Some(epoch)) => {
                    seen = epoch;
                    ring(&descriptor);
                }
                Ok(None) => {}
                Err(_) => return ring(&descriptor),
            }
        }
    };
    let started = thread::Builder::new().name("hotadd-page".to_owned()).spawn(watch);
    started.map_err(|error| {
        let errno = error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw);
        Error::NoThread { what: "the descriptor of a page", errno }
    })?;
    Ok(notifier)
}
