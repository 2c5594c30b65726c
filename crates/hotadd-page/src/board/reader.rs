//! [`BoardReader`]: the agents' side.

use std::hint::spin_loop;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::fs::{SealFlags, fcntl_get_seals};
use rustix::thread::{sched_getaffinity, sched_getcpu};

use super::backoff::Backoff;
use super::call::{Call, Entry, Garbled, decode};
use super::layout::{CALLS, LENGTH, MAGIC, VERSION, VERSION_AT};
use super::memory::Memory;
use super::protocol::{self, INTERRUPT};
use crate::map::Map;

/// After this many watches, the processors on which this process may run are counted again.
const COUNT_AGAIN: u32 = 256;

/// How many times `posted` is loaded between two looks at the clock.
const LOADS: u32 = 32;

/// Why a board cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BoardError {
    /// A system call failed.
    #[error("cannot map the board: {0}")]
    System(#[from] io::Error),
    /// The memory could be truncated, and the next access would end this process.
    #[error("the board's memory is not sealed against truncation")]
    NotSealed,
    /// It is not a board of this version.
    #[error("the memory is not a board that this version can read: {0}")]
    NoBoard(String),
}

/// A board, as the agents' process reads and answers it. One thread uses it.
#[derive(Debug)]
pub struct BoardReader {
    memory: Memory,
    doorbell: OwnedFd,
    /// How many calls were taken.
    taken: u32,
    watches: Backoff,
    /// How many watches are left until the processors are counted again.
    count_in: u32,
    /// Whether this process may run on several processors.
    has_several: bool,
}

impl BoardReader {
    /// Opens a board that was received from a partition.
    ///
    /// # Errors
    /// If it is not a board, or could be truncated.
    pub fn open(memfd: impl AsFd, doorbell: OwnedFd) -> Result<Self, BoardError> {
        let seals = fcntl_get_seals(&memfd).map_err(|_| BoardError::NotSealed)?;
        if !seals.contains(SealFlags::SHRINK) {
            return Err(BoardError::NotSealed);
        }
        let memory = Memory(Map::new(&memfd, LENGTH, true)?);
        if memory.0.long(0).load(Ordering::Relaxed) != u64::from_ne_bytes(MAGIC) {
            return Err(BoardError::NoBoard("it does not begin with \"hotaddb\"".to_owned()));
        }
        let version = memory.0.word(VERSION_AT).load(Ordering::Relaxed);
        if version != VERSION {
            return Err(BoardError::NoBoard(format!(
                "it has version {version}, and this program reads version {VERSION}"
            )));
        }
        let watches = Backoff::default();
        Ok(Self { memory, doorbell, taken: 0, watches, count_in: 0, has_several: false })
    }

    /// Becomes readable when a call is posted while this process does not [watch](Self::watch).
    #[must_use]
    pub fn doorbell(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }

    /// Makes the doorbell unreadable again. After this, the calls must be [taken](Self::next) before the doorbell is polled.
    pub fn silence(&self) {
        // An error means that it was not rung. If more bytes are left, it stays readable, and is read again.
        let _ = rustix::io::read(&self.doorbell, &mut [0_u8; 512]);
    }

    /// Takes the next call. `None` if there is none.
    ///
    /// # Errors
    /// If the posted words are not a valid call. They are not taken again.
    #[expect(clippy::should_implement_trait, reason = "there may be more calls after `None`")]
    pub fn next(&mut self) -> Option<Result<(Entry, Call), Garbled>> {
        // Acquire: pairs with the Release of `protocol::post`.
        let posted = self.memory.posted().load(Ordering::Acquire);
        match posted.wrapping_sub(self.taken) {
            0 => return None,
            1..=CALLS => {}
            _ => {
                self.taken = posted;
                return Some(Err(Garbled::Count));
            }
        }
        let place = self.taken % CALLS;
        self.taken = self.taken.wrapping_add(1);
        let words = self.memory.call(place);
        // Each word is loaded once, then checked.
        let words = std::array::from_fn(|n| words[n].load(Ordering::Relaxed));
        Some(decode(&words).map(|call| (Entry { place, serial: call.serial, awake: 0 }, call)))
    }

    /// Agrees to a call.
    pub fn agree(&self, entry: Entry) {
        self.answer(entry, entry.serial);
    }

    /// Frees a call's place without agreement: the answer went over the socket, or the call was skipped.
    pub fn skip(&self, entry: Entry) {
        self.answer(entry, entry.serial ^ INTERRUPT);
    }

    fn answer(&self, Entry { place, .. }: Entry, word: u32) {
        let answer = self.memory.answer(place);
        if protocol::answer(answer, word, self.memory.waiting(), place) {
            self.memory.wake(place);
        }
    }

    /// Watches for the next call for a while, without sleeping. Gives whether there is one.
    ///
    /// After a watch without success the next 2, 4, ... 64 watches are left out. All are left out if this process may run on one
    /// processor only, because the partition would have to wait until the watch is over.
    pub fn watch(&mut self, limit: Duration) -> bool {
        let is_posted = self.memory.posted().load(Ordering::Relaxed) != self.taken;
        if is_posted || !self.may_watch() {
            return is_posted;
        }
        let posted = self.memory.posted();
        protocol::start_watching(
            self.memory.awake(),
            u32::try_from(sched_getcpu()).unwrap_or(u32::MAX),
        );
        let began = Instant::now();
        let mut found = false;
        while !found && began.elapsed() < limit {
            found = (0..LOADS).any(|_| {
                spin_loop();
                posted.load(Ordering::Relaxed) != self.taken
            });
        }
        found = protocol::stop_watching(self.memory.awake(), posted) != self.taken;
        self.watches.ended(found);
        found
    }

    fn may_watch(&mut self) -> bool {
        if self.count_in == 0 {
            self.count_in = COUNT_AGAIN;
            self.has_several = sched_getaffinity(None).is_ok_and(|set| set.count() > 1);
        }
        self.count_in -= 1;
        self.has_several && self.watches.is_due()
    }
}
