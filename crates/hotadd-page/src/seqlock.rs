//! A seqlock over words of shared memory: one writer, and readers that copy while nothing changes.
//!
//! The writer makes the sequence odd, changes the words, and makes it even again. A reader that finds the same even number before
//! and after it copied has a state that was in force at one moment (Q1).
//!
//! All words are atomics: a reader may load one while it is stored, and a plain access would then be undefined. The order follows
//! Boehm, "Can seqlocks get along with programming language memory models?" (MSPC 2012). `tests/loom.rs` goes through the
//! interleavings.

#[cfg(not(hotadd_loom))]
use std::sync::atomic::{AtomicU32, Ordering, fence};

#[cfg(hotadd_loom)]
use loom::sync::atomic::{AtomicU32, Ordering, fence};

/// Makes a change between two numbers of the sequence. Only one writer may call this at a time. A sequence that an earlier writer
/// left odd stays odd until the end.
pub fn write(sequence: &AtomicU32, change: impl FnOnce()) {
    // Relaxed: only this thread writes it.
    let odd = sequence.load(Ordering::Relaxed) | 1;
    sequence.store(odd, Ordering::Relaxed);
    // Release fence: a reader that sees one of the stores below, and then passes its Acquire fence, sees the odd number.
    fence(Ordering::Release);
    change();
    // Release: a reader that sees the even number sees the stores before it.
    sequence.store(odd.wrapping_add(1), Ordering::Release);
}

/// Copies once. `None` if a change was in progress, or came in between.
pub fn read<T>(sequence: &AtomicU32, copy: impl FnOnce() -> T) -> Option<T> {
    // Acquire: pairs with the writer's last store, so that the copy is at least as new as this number.
    let before = sequence.load(Ordering::Acquire);
    if before % 2 == 1 {
        return None;
    }
    let copied = copy();
    // Acquire fence: if the copy has anything of a later change, the load below sees that change's odd number, or a later one.
    fence(Ordering::Acquire);
    // Relaxed: the fence orders it.
    (sequence.load(Ordering::Relaxed) == before).then_some(copied)
}
