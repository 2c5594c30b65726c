//! [`Running`]: the threads on which a registered function runs, so that unregistering can wait for them.

use parking_lot::{Condvar, Mutex};

use crate::ground::thread;

/// The threads on which one function runs.
#[derive(Default)]
pub(crate) struct Running(Mutex<Vec<usize>>);

/// Notified when a function has returned.
static RETURNED: Condvar = Condvar::new();

impl Running {
    /// Calls the function through `call`, unless it was unregistered in the meantime.
    pub(crate) fn run<T>(
        &self,
        is_registered: impl FnOnce() -> bool,
        call: impl FnOnce() -> T,
    ) -> Option<T> {
        let own = thread::own().id();
        // It counts as running before the registration is checked, because unregistering waits for running functions
        // (D1).
        self.0.lock().push(own);
        let result = is_registered().then(call);
        let mut running = self.0.lock();
        if let Some(at) = running.iter().position(|thread| *thread == own) {
            running.remove(at);
        }
        drop(running);
        RETURNED.notify_all();
        result
    }

    /// Waits until the function runs on no other thread. A function that unregisters itself cannot wait for itself.
    pub(crate) fn wait(&self) {
        let own = thread::own().id();
        let mut running = self.0.lock();
        while running.iter().any(|thread| *thread != own) {
            RETURNED.wait(&mut running);
        }
    }
}
