//! [`Callee`]: the program's callback, called by the library's threads, or by the program's own in descriptor mode.

use std::cell::Cell;
use std::ffi::c_void;

use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use hotadd::{Driver, Notice, Removal, Veto};

use crate::cause::Cause;
use crate::change::{ChangeContext, change_of};
use crate::notice::{self, CNotice};
use crate::queue::Queue;

/// A `hotadd_callback`.
pub(crate) type NoticeCallback = unsafe extern "C" fn(*mut CNotice, *mut c_void);
/// A `PROCESSOR_CALLBACK_FUNCTION`.
pub(crate) type KeCallback = unsafe extern "C" fn(*mut c_void, *mut ChangeContext, *mut i32);
/// Called when the data is not used any more.
pub(crate) type Destroy = unsafe extern "C" fn(*mut c_void);

/// The function to call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Function {
    /// Hears notices.
    Notice(NoticeCallback),
    /// Hears of adds, as on Windows.
    Ke(KeCallback),
}

/// The program's pointer, handed back to it unchanged. Never dereferenced here.
#[derive(Debug)]
pub(crate) struct Data(AtomicPtr<c_void>);

impl Data {
    pub(crate) const fn new(data: *mut c_void) -> Self {
        Self(AtomicPtr::new(data))
    }

    pub(crate) fn get(&self) -> *mut c_void {
        // Relaxed: never written after its creation.
        self.0.load(Ordering::Relaxed)
    }

    /// Gives the data back to the program.
    pub(crate) fn destroy(&self, destroy: Option<Destroy>) {
        if let Some(destroy) = destroy {
            // SAFETY: the program promised such a function in hotadd_registration_set_destroy, and it is called once.
            unsafe { destroy(self.get()) };
        }
    }
}

/// Where a callback is called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// A thread of the library, or one that adds, removes or registers: inside a transaction.
    Transaction,
    /// The program's thread, for which a transaction on another thread waits.
    Dispatch,
}

thread_local! {
    static INSIDE: Cell<Option<Inside>> = const { Cell::new(None) };
}

/// Runs a function of the program inside of which requests are refused (D3).
pub(crate) fn entered<T>(inside: Inside, run: impl FnOnce() -> T) -> T {
    let outer = INSIDE.replace(Some(inside));
    let result = run();
    INSIDE.set(outer);
    result
}

/// Whether this thread is inside a callback.
pub(crate) fn inside() -> Option<Inside> {
    INSIDE.get()
}

/// The program's callback.
#[derive(Debug)]
pub(crate) struct Callee {
    function: Function,
    data: Arc<Data>,
    removals: bool,
    cause: Arc<Cause>,
    /// In descriptor mode, the notice that waits for the program.
    pub(crate) queue: Option<Queue>,
    calls: Mutex<Calls>,
    returned: Condvar,
}

/// Whether the callback may be called, and is.
#[derive(Debug, Default)]
struct Calls {
    /// It is not called any more (D1).
    closed: bool,
    /// The thread on which it runs.
    running: Option<ThreadId>,
    /// What to do after it has returned, because it closed its registration itself.
    destroy: Option<Destroy>,
}

impl Callee {
    pub(crate) fn new(
        function: Function,
        data: Arc<Data>,
        removals: bool,
        cause: Arc<Cause>,
        queue: Option<Queue>,
    ) -> Self {
        let (calls, returned) = (Mutex::default(), Condvar::new());
        Self { function, data, removals, cause, queue, calls, returned }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends the calls. When this returns, the callback is not running on another thread, and will not be called again (D1).
    /// `destroy` is called then, or after the callback that this thread is in.
    pub(crate) fn close(&self, destroy: Option<Destroy>) {
        let mut calls = self.lock();
        calls.closed = true;
        if let Some(queue) = &self.queue {
            queue.close();
        }
        let own = thread::current().id();
        while calls.running.is_some_and(|thread| thread != own) {
            calls = self.returned.wait(calls).unwrap_or_else(PoisonError::into_inner);
        }
        if calls.running.is_some() {
            calls.destroy = destroy;
            return;
        }
        drop(calls);
        self.data.destroy(destroy);
    }

    /// Calls the callback, unless it was closed.
    pub(crate) fn call(&self, notice: &Notice, inside: Inside) -> Result<(), Veto> {
        {
            let mut calls = self.lock();
            if calls.closed {
                return Ok(());
            }
            calls.running = Some(thread::current().id());
        }
        let answer = entered(inside, || self.invoke(notice));
        let destroy = {
            let mut calls = self.lock();
            calls.running = None;
            calls.destroy.take()
        };
        self.returned.notify_all();
        self.data.destroy(destroy);
        answer
    }

    fn invoke(&self, notice: &Notice) -> Result<(), Veto> {
        let data = self.data.get();
        match self.function {
            Function::Notice(callback) => notice::during(notice, self.cause.of(notice), |notice| {
                // SAFETY: the program registered such a function with this data. The notice is a handle.
                unsafe { callback(notice, data) };
            }),
            Function::Ke(callback) => {
                let Some(mut change) = change_of(notice) else { return Ok(()) };
                let mut status = 0;
                let (change, left) = (&raw mut change, &raw mut status);
                // SAFETY: the program registered such a function with this data. Both structures outlive the call.
                unsafe { callback(data, change, left) };
                let status = hotadd::Status::from_raw(status.cast_unsigned());
                if status.is_error() { Err(status.into()) } else { Ok(()) }
            }
        }
    }
}

/// A callee as a party.
pub(crate) struct Party(pub(crate) Arc<Callee>);

impl Driver for Party {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        if self.0.removals { Some(self) } else { None }
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        match &self.0.queue {
            Some(queue) => queue.ask(notice),
            None => self.0.call(notice, Inside::Transaction),
        }
    }
}

/// Called by `notify` alone.
impl Removal for Party {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}
