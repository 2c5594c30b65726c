//! Passes the output of drivers' processes to the main thread, limited to what that can show.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use hotadd_daemon::parties::OutputSink;
use hotadd_service::host::Output;

use crate::message::Message;

/// How many lines may be queued. A driver that prints more than can be shown is made to wait; its output does not pile up in
/// memory.
const MOST: usize = 1024;

/// Output of a driver.
pub(crate) struct DriverOutput {
    pub(crate) driver: String,
    pub(crate) output: Output,
    /// Its place in the queue.
    _place: Place,
}

/// Counts the output in the queue.
#[derive(Default)]
pub(crate) struct OutputQueue {
    on_the_way: Mutex<usize>,
    less: Condvar,
}

struct Place(Arc<OutputQueue>);

impl OutputQueue {
    /// Returns a sink that passes output on as messages. The sink blocks while the queue is full.
    pub(crate) fn to(messages: Sender<Message>) -> OutputSink {
        let queue = Arc::new(Self::default());
        Arc::new(move |driver, output| {
            let output = DriverOutput { driver: driver.to_owned(), output, _place: queue.place() };
            // Fails only when the run is over.
            let _ = messages.send(Message::Output(output));
        })
    }

    fn place(self: &Arc<Self>) -> Place {
        let count = self.on_the_way.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |count: &mut usize| *count >= MOST;
        let count = self.less.wait_while(count, full);
        *count.unwrap_or_else(PoisonError::into_inner) += 1;
        Place(Arc::clone(self))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.on_the_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.less.notify_one();
    }
}
