//! Event loops: dispatching in descriptor mode, and requests by the thread that dispatches.
//!
//! A request such as an add waits until every party has answered. If the requesting thread is the one that dispatches some of them,
//! it would wait for itself. So it gives the request to another thread, and dispatches until the request is done.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, Builder};

use hotadd::{Errno, Error, Registration, Status};
use rustix::event::{PollFd, PollFlags, poll};

use crate::callee::{Callee, Inside, inside};
use crate::failure::Failure;
use crate::queue::{self, Queue, ring};

/// The callees in descriptor mode.
static LOOPS: Mutex<Vec<Weak<Callee>>> = Mutex::new(Vec::new());

fn loops() -> MutexGuard<'static, Vec<Weak<Callee>>> {
    LOOPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a callee in descriptor mode known. It is forgotten when it is dropped.
pub(crate) fn watch(callee: &Arc<Callee>) {
    let mut loops = loops();
    loops.retain(|callee| callee.strong_count() > 0);
    loops.push(Arc::downgrade(callee));
}

/// The callees that this thread dispatches.
fn dispatched_here() -> Vec<Arc<Callee>> {
    let all: Vec<_> = loops().iter().filter_map(Weak::upgrade).collect();
    let here = |callee: &Arc<Callee>| callee.queue.as_ref().is_some_and(Queue::is_dispatched_here);
    all.into_iter().filter(here).collect()
}

/// Calls the callback for each notice that waits, and returns their number.
pub(crate) fn dispatch(callee: &Callee) -> Result<i32, Failure> {
    let Some(queue) = &callee.queue else {
        let message = "the registration has no descriptor: set the flag HOTADD_DESCRIPTOR before it is started";
        return Err(Failure::new(Status::INVALID_DEVICE_STATE, message));
    };
    let mut dispatched = 0;
    while let Some(taken) = queue.take()? {
        let answer = callee.call(&taken.notice, Inside::Dispatch);
        queue.answer(&taken, answer);
        dispatched += 1;
    }
    Ok(dispatched)
}

/// Refuses a request from inside a callback (D3).
pub(crate) fn refuse_inside(what: &'static str) -> Result<(), Failure> {
    if inside().is_none() {
        return Ok(());
    }
    let error = Error::InsideCallback(what);
    Err(Failure::new(error.status(), format!("{error} (D3)")))
}

/// Makes a request that waits for the parties, and dispatches those of this thread meanwhile.
pub(crate) fn request<T: Send>(
    what: &'static str,
    request: impl FnOnce() -> Result<T, Failure> + Send,
) -> Result<T, Failure> {
    refuse_inside(what)?;
    if dispatched_here().is_empty() {
        return request();
    }
    let done = queue::event()?;
    thread::scope(|scope| {
        let done = &done;
        let work = move || {
            let _rings = Rings(done);
            request()
        };
        let started = Builder::new().name("hotadd-request".to_owned()).spawn_scoped(scope, work);
        let worker = started.map_err(|error| {
            let errno = error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw);
            Failure::from(Error::NoThread { what, errno })
        })?;
        dispatch_until(done);
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Makes the descriptor readable when it is dropped, also by a panic.
struct Rings<'a>(&'a OwnedFd);

impl Drop for Rings<'_> {
    fn drop(&mut self) {
        ring(self.0);
    }
}

/// Dispatches the callees of this thread until `done` is readable.
fn dispatch_until(done: &OwnedFd) {
    loop {
        let callees = dispatched_here();
        let queues = callees.iter().filter_map(|callee| callee.queue.as_ref());
        let descriptors = queues.map(Queue::descriptor).chain([done]);
        let mut polled: Vec<_> =
            descriptors.map(|descriptor| PollFd::new(descriptor, PollFlags::IN)).collect();
        // It fails by a signal, or for want of memory. Then the next round finds what there is.
        let _ = poll(&mut polled, None);
        let readable = |polled: &PollFd<'_>| polled.revents().contains(PollFlags::IN);
        if polled.last().is_some_and(readable) {
            return;
        }
        for (callee, _) in callees.iter().zip(&polled).filter(|(_, polled)| readable(polled)) {
            // Fails if an answer was late. Then the callee is not polled again here.
            let _ = dispatch(callee);
        }
    }
}

/// Deregisters a party whose callback was closed.
pub(crate) fn deregister(registration: Registration) -> Result<(), Failure> {
    match inside() {
        // The partition knows that this thread is inside (D3).
        Some(Inside::Transaction) => Ok(registration.deregister()?),
        Some(Inside::Dispatch) => {
            // The transaction waits for this thread, and deregistering would wait for the transaction. The callback was closed, so
            // it is not called whenever this happens (D1).
            let party = Arc::new(Mutex::new(Some(registration)));
            let leaving = Arc::clone(&party);
            let work = move || drop(leaving.lock().unwrap_or_else(PoisonError::into_inner).take());
            if Builder::new().name("hotadd-leave".to_owned()).spawn(work).is_err() {
                // There is no thread for it. The party stays, and agrees to everything.
                std::mem::forget(party);
            }
            Ok(())
        }
        None => request("deregistering", || Ok(registration.deregister()?)),
    }
}
