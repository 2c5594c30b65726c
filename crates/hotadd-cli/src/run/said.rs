//! What drivers' processes say, on its way to the main thread: as much of it at a time as that can show.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use hotadd_service::host::Said;

use super::Message;

/// How many lines may be on their way. A driver that prints more than can be shown is kept waiting, not its words in memory.
const MOST: usize = 1024;

/// Where what drivers say goes, with their names.
pub(crate) type ToPeople = Arc<dyn Fn(&str, Said) + Send + Sync>;

/// Something that a driver said.
pub(crate) struct Line {
    pub(crate) driver: String,
    pub(crate) said: Said,
    /// Its place among those that are on their way.
    _place: Place,
}

/// Where drivers' words go.
#[derive(Default)]
pub(crate) struct Heard {
    on_the_way: Mutex<usize>,
    less: Condvar,
}

struct Place(Arc<Heard>);

impl Heard {
    /// Passes on what is said as messages. Whoever says it waits while there are too many.
    pub(crate) fn to(messages: Sender<Message>) -> ToPeople {
        let heard = Arc::new(Self::default());
        Arc::new(move |driver, said| {
            let line = Line { driver: driver.to_owned(), said, _place: heard.place() };
            // Nobody listens any more: the run is over.
            let _ = messages.send(Message::Said(line));
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
