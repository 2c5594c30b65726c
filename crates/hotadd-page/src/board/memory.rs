//! The words of a board that is mapped.

use std::sync::atomic::AtomicU32;

use rustix::thread::futex;

use super::layout::{ANSWERS_AT, AWAKE_AT, CALL, CALLS, CALLS_AT, POSTED_AT, WAITING_AT};
use crate::map::Map;

/// A mapped board.
#[derive(Debug)]
pub(super) struct Memory(pub(super) Map);

impl Memory {
    pub(super) fn posted(&self) -> &AtomicU32 {
        self.0.word(POSTED_AT)
    }

    pub(super) fn waiting(&self) -> &AtomicU32 {
        self.0.word(WAITING_AT)
    }

    pub(super) fn awake(&self) -> &AtomicU32 {
        self.0.word(AWAKE_AT)
    }

    pub(super) fn answer(&self, place: u32) -> &AtomicU32 {
        self.0.word(ANSWERS_AT + (place % CALLS) as usize * 4)
    }

    pub(super) fn call(&self, place: u32) -> &[AtomicU32] {
        self.0.words(CALLS_AT + (place % CALLS) as usize * CALL, CALL / 4)
    }

    /// Wakes the partition's thread that sleeps on an answer.
    pub(super) fn wake(&self, place: u32) {
        // One: the partition waits with one thread at a time. All: a thread that another process put there must not take the
        // wake-up. The kernel takes the number as a signed one. A failure would wake no thread; the partition looks again.
        let _ = futex::wake(self.answer(place), futex::Flags::empty(), i32::MAX.cast_unsigned());
    }
}
