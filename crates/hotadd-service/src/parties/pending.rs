//! [`Pending`]: the calls to agents of one connection that are not answered yet.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hotadd_page::board::{BoardWriter, Entry};
use hotadd_wire::Message;

use crate::lock::lock;
use crate::parties::loss::Loss;

/// The outcome of a call.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A reply that agrees, and when it arrived.
    Agreed(Instant),
    /// Another reply, and when it arrived.
    Reply(Message, Instant),
    /// No answer will arrive.
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
    /// Wakes the thread that waits, if it waits for an answer on a board.
    wake: Option<(Arc<BoardWriter>, Entry)>,
    /// While this call is pending, the party makes no requests from elsewhere.
    alone: bool,
}

impl Waiting {
    fn deliver(self, answer: Answer) {
        // The send fails if the waiting thread has given up meanwhile. The answer is then not needed.
        let _ = self.to.send(answer);
        // Only now, so that the woken thread finds the answer.
        if let Some((board, entry)) = self.wake {
            board.interrupt(entry);
        }
    }
}

impl Pending {
    /// Expects an answer to the call with this serial. Must be called before the call is sent. `alone` means that requests
    /// which the peer makes until then come from inside this call.
    pub(crate) fn expect(&self, serial: NonZeroU32, alone: bool) -> Receiver<Answer> {
        let (to, receiver) = channel();
        let mut state = lock(&self.state);
        match &state.lost {
            // The send cannot fail, because the receiver is in this function.
            Some(loss) => drop(to.send(Answer::Lost(loss.clone()))),
            None => drop(state.waiting.insert(serial, Waiting { to, alone, wake: None })),
        }
        receiver
    }

    /// The call with this serial was posted on a board: its answer comes there, or else wakes the thread that waits there.
    pub(crate) fn posted(&self, serial: NonZeroU32, board: &Arc<BoardWriter>, entry: Entry) {
        // If it is not there, the answer has been delivered, and is found before the thread sleeps.
        if let Some(waiting) = lock(&self.state).waiting.get_mut(&serial) {
            waiting.wake = Some((Arc::clone(board), entry));
        }
    }

    /// Stops waiting for this answer. If it arrives later, it is dropped.
    pub(crate) fn forget(&self, serial: NonZeroU32) {
        lock(&self.state).waiting.remove(&serial);
    }

    /// Whether a request that the peer makes now comes from inside a call that it has not answered (D3).
    pub(crate) fn is_inside(&self) -> bool {
        lock(&self.state).waiting.values().any(|waiting| waiting.alone)
    }

    /// Delivers an answer. An answer that nothing waits for is dropped.
    pub(crate) fn answered(&self, serial: NonZeroU32, reply: Message) {
        self.tell(serial, || Answer::Reply(reply, Instant::now()));
    }

    /// Delivers an answer that agrees. An answer that nothing waits for is dropped.
    pub(crate) fn agreed(&self, serial: NonZeroU32) {
        self.tell(serial, || Answer::Agreed(Instant::now()));
    }

    /// Reports that no answer to this call will arrive.
    pub(crate) fn lost(&self, serial: NonZeroU32, loss: &Loss) {
        self.tell(serial, || Answer::Lost(loss.clone()));
    }

    fn tell(&self, serial: NonZeroU32, answer: impl FnOnce() -> Answer) {
        let waiting = lock(&self.state).waiting.remove(&serial);
        if let Some(waiting) = waiting {
            waiting.deliver(answer());
        }
    }

    /// Reports that no answer will arrive, neither to pending calls nor to later ones.
    pub(crate) fn fail_all(&self, loss: &Loss) {
        let mut state = lock(&self.state);
        let loss = state.lost.get_or_insert_with(|| loss.clone()).clone();
        for (_, waiting) in state.waiting.drain() {
            waiting.deliver(Answer::Lost(loss.clone()));
        }
    }
}
