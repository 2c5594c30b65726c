//! [`Pending`]: the calls to agents of one connection that are not answered yet.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use hotadd_wire::Message;

use crate::lock::lock;
use crate::parties::loss::Loss;

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A reply that agrees, and when it came.
    Agreed(Instant),
    /// Another reply, and when it came.
    Reply(Message, Instant),
    /// None will come.
    Lost(Loss),
}

/// The calls that wait for an answer, by serial.
#[derive(Default)]
pub(crate) struct Pending {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<NonZeroU32, Waiting>,
    lost: Option<Loss>,
}

/// A call that waits for an answer.
struct Waiting {
    to: Sender<Answer>,
    /// The party asks for nothing from elsewhere meanwhile.
    alone: bool,
}

impl Pending {
    /// Expects an answer to the call with this serial. To be done before it is sent. `alone`: what the peer asks for until
    /// then comes from inside of it.
    pub(crate) fn expect(&self, serial: NonZeroU32, alone: bool) -> Receiver<Answer> {
        let (to, receiver) = channel();
        let mut state = lock(&self.state);
        match &state.lost {
            // The receiver is in this very function.
            Some(loss) => drop(to.send(Answer::Lost(loss.clone()))),
            None => drop(state.waiting.insert(serial, Waiting { to, alone })),
        }
        receiver
    }

    /// Nobody waits for this one any more: an answer that comes all the same is dropped.
    pub(crate) fn forget(&self, serial: NonZeroU32) {
        lock(&self.state).waiting.remove(&serial);
    }

    /// Whether what the peer asks for now comes from inside a call that it has not answered (D3).
    pub(crate) fn is_inside(&self) -> bool {
        lock(&self.state).waiting.values().any(|waiting| waiting.alone)
    }

    /// An answer has come. One that nobody waits for is dropped.
    pub(crate) fn answered(&self, serial: NonZeroU32, reply: Message) {
        self.tell(serial, || Answer::Reply(reply, Instant::now()));
    }

    /// The same, of an answer that agrees.
    pub(crate) fn agreed(&self, serial: NonZeroU32) {
        self.tell(serial, || Answer::Agreed(Instant::now()));
    }

    /// No answer will come to this one.
    pub(crate) fn lost(&self, serial: NonZeroU32, loss: &Loss) {
        self.tell(serial, || Answer::Lost(loss.clone()));
    }

    fn tell(&self, serial: NonZeroU32, answer: impl FnOnce() -> Answer) {
        let waiting = lock(&self.state).waiting.remove(&serial);
        if let Some(waiting) = waiting {
            // Whoever gave up meanwhile does not want it.
            let _ = waiting.to.send(answer());
        }
    }

    /// No answer will come any more, to what was called and to what will be.
    pub(crate) fn fail_all(&self, loss: &Loss) {
        let mut state = lock(&self.state);
        let loss = state.lost.get_or_insert_with(|| loss.clone()).clone();
        for (_, waiting) in state.waiting.drain() {
            let _ = waiting.to.send(Answer::Lost(loss.clone()));
        }
    }
}
