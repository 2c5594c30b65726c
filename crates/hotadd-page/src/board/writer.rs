//! [`BoardWriter`]: the partition's side.

use std::hint::spin_loop;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{SealFlags, Timespec, fcntl_add_seals, ftruncate};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use rustix::thread::{futex, sched_getcpu};

use super::backoff::Backoff;
use super::call::{Call, Entry, encode, is_serial};
use super::layout::{CALLS, LENGTH, MAGIC, VERSION, VERSION_AT};
use super::memory::Memory;
use super::protocol::{self, INTERRUPT, Outcome};
use crate::map::Map;
use crate::writer::memory_file;

/// After this time, a sleeping partition looks again for a reason of an interrupt. An agent can move the partition's wake-up
/// elsewhere, and then it delays its own transaction by this time.
const LOOK: Duration = Duration::from_millis(100);

/// How long the partition watches for the answer of an agent that runs on another processor, before it sleeps.
const SPIN: Duration = Duration::from_micros(20);

/// How many times the answer is loaded between two looks at the clock.
const LOADS: u32 = 32;

/// A board that a partition writes, for the agents of one connection.
///
/// Calls may be posted and interrupted by any thread. One thread at a time waits.
#[derive(Debug)]
pub struct BoardWriter {
    memory: Memory,
    memfd: OwnedFd,
    /// A pair of sockets: this side's, and the agent's. An eventfd would not do: both sides would share its flags, so that an agent
    /// could clear O_NONBLOCK, fill the counter, and make the partition wait for ever when it rings.
    doorbell: [OwnedFd; 2],
    own: Mutex<Own>,
}

/// What the partition knows about the board. It does not read this from the board, which an agent may change.
#[derive(Debug)]
struct Own {
    /// How many calls were posted.
    posted: u32,
    /// The call that was posted last at each place.
    places: [Place; CALLS as usize],
    spins: Backoff,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// 0 if no call was posted.
    serial: u32,
    interrupted: bool,
}

impl BoardWriter {
    /// Makes a board without calls.
    ///
    /// # Errors
    /// If the kernel gives no memory or descriptor.
    pub fn create() -> io::Result<Self> {
        let memfd = memory_file("hotadd-board")?;
        ftruncate(&memfd, LENGTH as u64)?;
        fcntl_add_seals(&memfd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        let memory = Memory(Map::new(&memfd, LENGTH, true)?);
        memory.0.long(0).store(u64::from_ne_bytes(MAGIC), Ordering::Relaxed);
        memory.0.word(VERSION_AT).store(VERSION, Ordering::Relaxed);
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let own = Own {
            posted: 0,
            places: [Place::default(); CALLS as usize],
            spins: Backoff::default(),
        };
        Ok(Self { memory, memfd, doorbell: [ours, theirs], own: Mutex::new(own) })
    }

    /// What the agent's process needs for [`BoardReader::open`](super::BoardReader::open): memory and doorbell.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.memfd.as_fd(), self.doorbell[1].as_fd()]
    }

    /// Posts a call, and rings the doorbell unless the agent watches. `None` if the call must go over the socket: all places are
    /// taken by calls without an answer, or a board cannot carry the serial.
    #[must_use]
    pub fn post(&self, call: &Call) -> Option<Entry> {
        let mut own = self.own();
        let place = own.posted % CALLS;
        let last = own.places[place as usize].serial;
        // Acquire: the agent has read the call before it answered.
        let answered = self.memory.answer(place).load(Ordering::Acquire) & !INTERRUPT;
        // A word that has the new serial already would be taken for the answer.
        if (last != 0 && answered != last) || answered == call.serial || !is_serial(call.serial) {
            return None;
        }
        // Relaxed: `post` orders these stores for the agent.
        for (word, value) in self.memory.call(place).iter().zip(encode(call)) {
            word.store(value, Ordering::Relaxed);
        }
        own.places[place as usize] = Place { serial: call.serial, interrupted: false };
        own.posted = own.posted.wrapping_add(1);
        let awake = protocol::post(self.memory.posted(), own.posted, self.memory.awake());
        let before = (place + CALLS - 1) % CALLS;
        let serial = own.places[before as usize].serial;
        drop(own);
        let follows = call.chained && protocol::is_unanswered(self.memory.answer(before), serial);
        if awake == 0 && !follows {
            self.ring();
        }
        Some(Entry { place, serial: call.serial, awake })
    }

    fn ring(&self) {
        // An error means that it was rung often and is still readable, or that the agent does not want to hear it.
        let _ = send(&self.doorbell[0], &[1], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }

    /// Waits for the answer to a posted call.
    ///
    /// `interrupted` is asked for a reason not to wait any longer. The thread that stores the reason
    /// calls [`interrupt`](Self::interrupt) afterwards. A reason that was given must be given until the wait is over.
    pub fn wait<T>(
        &self,
        entry: Entry,
        deadline: Instant,
        interrupted: impl FnMut() -> Option<T>,
    ) -> Outcome<T> {
        let answer = self.memory.answer(entry.place);
        let mut may_spin = entry.awake != 0 && entry.awake != this_processor();
        let spin = |word: u32| {
            if !may_spin || !self.own().spins.is_due() {
                return false;
            }
            // Once in a wait.
            may_spin = false;
            let until = Instant::now() + SPIN;
            let mut changed = false;
            while !changed && Instant::now() < until {
                changed = (0..LOADS).any(|_| {
                    spin_loop();
                    answer.load(Ordering::Relaxed) != word
                });
            }
            self.own().spins.ended(changed);
            changed
        };
        let sleep = |word: u32| {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let left = Timespec::try_from(left.min(LOOK)).ok();
            // Every result means to look again.
            let _ = futex::wait(answer, futex::Flags::empty(), word, left.as_ref());
            true
        };
        let key = (entry.place, entry.serial);
        protocol::wait(answer, self.memory.waiting(), key, interrupted, spin, sleep)
    }

    /// Makes a wait for this call ask for the reason of the interrupt. The reason must be there before.
    pub fn interrupt(&self, entry: Entry) {
        let mut own = self.own();
        let place = &mut own.places[(entry.place % CALLS) as usize];
        // A call that was posted at this place later is not concerned. At most once: a second time would restore the word, and a
        // thread that loaded it before the first time and compares it after the second would sleep.
        if place.serial == entry.serial && !place.interrupted {
            place.interrupted = true;
            protocol::interrupt(self.memory.answer(entry.place));
            drop(own);
            self.memory.wake(entry.place);
        }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        // Nothing panics in between.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The processor on which this thread runs, plus one.
fn this_processor() -> u32 {
    u32::try_from(sched_getcpu()).unwrap_or(u32::MAX).saturating_add(1)
}
