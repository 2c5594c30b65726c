//! The order of loads and stores on a board. `tests/loom.rs` goes through the interleavings.
//!
//! Two races matter, and both have the same form: one side stores a word and loads another, the other side stores the second word
//! and loads the first. Between store and load each side has a SeqCst fence. Then at least one of the two sees the other's store.
//!
//! - [`post`] against [`stop_watching`]: the partition sees that the agent does not watch, and rings. Or the agent sees the call.
//! - [`wait`] against [`answer`]: the partition sees the answer, and does not sleep. Or the agent sees that it sleeps, and wakes it.

#[cfg(not(hotadd_loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

#[cfg(hotadd_loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};

/// Set in an answer by an interrupt. It is above all serials.
pub const INTERRUPT: u32 = 1 << 31;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The agent agreed.
    Agreed,
    /// The caller's own reason, for example a refusal that came over the socket. It wins over an agreement.
    Interrupted(T),
    /// The deadline passed.
    Late,
}

/// The partition: makes a call visible that is written, as the call with this count. Gives the word `awake`; if it is zero, the
/// doorbell must be rung.
pub fn post(posted: &AtomicU32, count: u32, awake: &AtomicU32) -> u32 {
    // Release: an agent that sees the count sees the call.
    posted.store(count, Ordering::Release);
    // SeqCst fence: pairs with the one in `stop_watching`. If the load below does not see the zero, that agent sees the count.
    fence(Ordering::SeqCst);
    awake.load(Ordering::Relaxed)
}

/// The partition, after [`post`]: whether the doorbell need not be rung, because the call with this answer and serial is not answered
/// yet. The agent looks for calls after every answer.
pub fn is_unanswered(answer: &AtomicU32, serial: u32) -> bool {
    // Relaxed: the fence in `post` pairs with the one in `answer`. If this load does not see the answer, the agent's next load of
    // `posted` sees the count.
    answer.load(Ordering::Relaxed) & !INTERRUPT != serial
}

/// The agent: says that it watches `posted` from now on, and on which processor.
pub fn start_watching(awake: &AtomicU32, processor: u32) {
    // Relaxed: it is a hint until `stop_watching`.
    awake.store(processor.saturating_add(1), Ordering::Relaxed);
}

/// The agent: says that it watches no longer. Gives the count of calls, which must be compared before the agent sleeps: no doorbell
/// was rung for the calls that were posted before.
pub fn stop_watching(awake: &AtomicU32, posted: &AtomicU32) -> u32 {
    awake.store(0, Ordering::Relaxed);
    // SeqCst fence: pairs with the one in `post`. If the load below does not see a count, its partition sees the zero and rings.
    fence(Ordering::SeqCst);
    // Acquire: pairs with the Release in `post`.
    posted.load(Ordering::Acquire)
}

/// The agent: answers the call at a place with this word. Gives whether the partition may sleep on it and must be woken.
#[must_use]
pub fn answer(answer: &AtomicU32, word: u32, waiting: &AtomicU32, place: u32) -> bool {
    // Release: what the agent did for the call is visible to a partition that sees the answer. An exchange and not a store: if it
    // overwrites an interrupt, a partition that sees this word must see the reason of the interrupt as well.
    answer.swap(word, Ordering::AcqRel);
    // SeqCst fence: pairs with the one in `wait`. If the load below does not see that the partition sleeps, it sees the answer.
    fence(Ordering::SeqCst);
    waiting.load(Ordering::Relaxed) == place + 1
}

/// The partition: changes an answer, so that a wait asks for the reason that was stored before. The waiting thread must be woken
/// afterwards. At most once for each call: a second time would restore the word, and a thread that loaded it before the first time
/// and compares it after the second would sleep.
pub fn interrupt(answer: &AtomicU32) {
    // Release: a wait that sees the change sees the reason. Acquire: what an agent did before its answer stays visible through this
    // word.
    answer.fetch_xor(INTERRUPT, Ordering::AcqRel);
}

/// The partition: waits for the answer to the call at a place.
///
/// - `interrupted` gives the reason of an interrupt. Once it has one, it must have one until the call's entry is used again.
/// - `spin` watches the answer for a while if that is worthwhile. It gives whether the answer is another than the word.
/// - `sleep` sleeps if the answer still is the word, until it is woken or the deadline passes. It gives false if the deadline has
///   passed. It may return early.
///
/// No wake-up is lost. The answer is loaded before `interrupted` is asked. An interrupt before that load has stored its reason
/// before, and `interrupted` gives it. An interrupt after that load has changed the word, and the kernel compares the word when it
/// puts the thread to sleep: either it finds the change, or the thread sleeps before the interrupter wakes it. For an agreement, the
/// fences do the same, without a system call if the partition does not sleep.
pub fn wait<T>(
    answer: &AtomicU32,
    waiting: &AtomicU32,
    (place, serial): (u32, u32),
    mut interrupted: impl FnMut() -> Option<T>,
    mut spin: impl FnMut(u32) -> bool,
    mut sleep: impl FnMut(u32) -> bool,
) -> Outcome<T> {
    let mut in_time = true;
    loop {
        // Acquire: pairs with the Release of `answer` and of `interrupt`.
        let word = answer.load(Ordering::Acquire);
        // After the load, and before the comparison: a refusal wins over an agreement.
        if let Some(reason) = interrupted() {
            return Outcome::Interrupted(reason);
        }
        if word == serial {
            return Outcome::Agreed;
        }
        // After the loads: an answer that is there at the deadline is in time.
        if !in_time {
            return Outcome::Late;
        }
        if spin(word) {
            continue;
        }
        waiting.store(place + 1, Ordering::Relaxed);
        // SeqCst fence: pairs with the one in `answer`.
        fence(Ordering::SeqCst);
        // Relaxed: if it differs, it is loaded again with Acquire.
        if answer.load(Ordering::Relaxed) == word {
            in_time = sleep(word);
        }
        waiting.store(0, Ordering::Relaxed);
    }
}
