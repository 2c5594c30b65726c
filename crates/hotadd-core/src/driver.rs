//! [`Driver`]: a party that must prepare before a processor is used, and [`Veto`], its way to refuse.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::string::{String, ToString};
use core::fmt;
use core::time::Duration;

use crate::errno::Errno;
use crate::notice::{Notice, State};
use crate::status::Status;

/// A party that must prepare before a processor is used.
///
/// Calls come one at a time, never two at once (A7), on the thread that adds, removes or registers. All calls of one add
/// come on one thread. A call may block, allocate and query the partition. It may drop any
/// [registration](https://docs.rs/hotadd), its own included (D3). Registering and adding from inside a call are refused with
/// [`Status::POSSIBLE_DEADLOCK`].
///
/// A call that panics counts as a crash (L3): the driver is deregistered, and in `add_start` and
/// `remove_start` the panic is a veto.
///
/// # Closures
/// A closure `FnMut(&Notice) -> Result<(), Veto>` is a driver too. It is called in the three Add states. Its result
/// counts only in [`State::AddStart`]. An error returned in another state changes nothing and is reported
/// as a breach of the contract (A6).
///
/// ```
/// use hotadd_core::{Driver, Notice, Veto};
///
/// /// One block of memory for each processor.
/// #[derive(Default)]
/// struct Blocks(Vec<Vec<u8>>);
///
/// impl Driver for Blocks {
///     fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
///         let mut block = Vec::new();
///         block.try_reserve_exact(4096)?; // no memory, no processor
///         let at = notice.processor().index.as_usize();
///         if self.0.len() <= at {
///             self.0.resize_with(at + 1, Vec::new);
///         }
///         self.0[at] = block;
///         Ok(())
///     }
///
///     fn add_failure(&mut self, notice: &Notice) {
///         self.0[notice.processor().index.as_usize()] = Vec::new();
///     }
/// }
/// ```
pub trait Driver {
    /// A processor is about to be started: prepare for it, or veto (A1, A2).
    ///
    /// Inside this call the processor's index, number and hardware id can be converted (A5), but it is not active and runs no
    /// work.
    ///
    /// # Errors
    /// A veto keeps the processor out. A driver that vetoes cleans up after itself: it is not told
    /// AddFailure (A3).
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto>;

    /// The processor has joined: queries count it, and it can run work (A5).
    fn add_complete(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// The processor did not join, although this driver agreed (A3, A4): undo what `add_start` prepared.
    fn add_failure(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// The driver's handler of removal notices. `None`, the default: the driver gets no removal notices (X1).
    ///
    /// Called once at registration, and then before each removal notice. The answer must be the same each time.
    fn removal(&mut self) -> Option<&mut dyn Removal> {
        None
    }

    /// Starts work on an answer. [`notify`](Self::notify) then waits for it.
    ///
    /// Called only for a driver that registered to be asked together with others of its level, before any of them is waited
    /// for. Without it `notify` does all of the work. If it panics, `notify` is not called: the crash is the answer (L3).
    #[doc(hidden)]
    fn begin(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// Whether [`begin`](Self::begin) may be called for the next notice of a replay now. Notices that were begun are answered by
    /// [`notify`](Self::notify) in the same order. After a refusal the driver does not see those that were begun behind it.
    #[doc(hidden)]
    fn begins_ahead(&self) -> bool {
        false
    }

    /// How long the last answer took, if the driver knows this better than its caller, which only measures the wait.
    #[doc(hidden)]
    fn answered_in(&self) -> Option<Duration> {
        None
    }

    /// The method that a partition calls. It passes the notice to the method for its state.
    ///
    /// Override it to treat all states alike, as a C callback does.
    ///
    /// # Errors
    /// The result counts in the Start states. In any other state an error changes nothing and is reported as a breach of
    /// the contract (A6).
    #[doc(hidden)]
    #[inline]
    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        // Comparisons instead of a jump table: this is where an add spends its time.
        if notice.state == State::AddStart {
            return self.add_start(notice);
        }
        if notice.state == State::AddComplete {
            self.add_complete(notice);
        } else if notice.state == State::AddFailure {
            self.add_failure(notice);
        } else if let Some(removal) = self.removal() {
            match notice.state {
                State::RemoveStart => return removal.remove_start(notice),
                State::RemoveComplete => removal.remove_complete(notice),
                _ => removal.remove_failure(notice),
            }
        }
        Ok(())
    }
}

/// The removal methods of a [`Driver`] (X1).
pub trait Removal {
    /// A processor is about to be stopped: move off it, or veto.
    ///
    /// # Errors
    /// A veto keeps the processor in the partition. The driver is then not told RemoveFailure.
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto>;

    /// The processor has left. If it vanished without a remove ([`Notice::is_surprise`], X2), there was no `remove_start`.
    fn remove_complete(&mut self, notice: &Notice) {
        let _ = notice;
    }

    /// The processor stays, although this driver agreed to its removal.
    fn remove_failure(&mut self, notice: &Notice) {
        let _ = notice;
    }
}

impl<F: FnMut(&Notice) -> Result<(), Veto>> Driver for F {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self(notice)
    }

    #[inline]
    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        if notice.state.is_removal() { Ok(()) } else { self(notice) }
    }
}

/// A driver's refusal: a status that is an error, and a reason for people.
///
/// One pointer in size, so that an agreement costs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Veto(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    status: Status,
    reason: Cow<'static, str>,
    crash: bool,
}

impl Veto {
    /// Makes a veto with its own reason.
    ///
    /// A veto is always an error: a status that is not an error becomes [`Status::UNSUCCESSFUL`].
    #[must_use]
    pub fn new(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        let status = status.as_error();
        Self(Box::new(Inner { status, reason: reason.into(), crash: false }))
    }

    /// Makes the answer for a party that cannot answer: it has crashed, is gone, or did not answer in time (L3). It counts as a
    /// veto where a veto is possible. In any state the party is deregistered.
    #[must_use]
    pub fn crash(status: Status, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut veto = Self::new(status, reason);
        veto.0.crash = true;
        veto
    }

    /// Whether this is the answer for a party that has crashed (L3).
    #[must_use]
    pub fn is_crash(&self) -> bool {
        self.0.crash
    }

    /// The status, always an error.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.status
    }

    /// The reason, in the driver's words.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.0.reason
    }
}

impl fmt::Display for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        match status.name() {
            Some(name) => write!(f, "{} ({name}, 0x{:08X})", self.reason(), status.to_raw()),
            None => write!(f, "{} (0x{:08X})", self.reason(), status.to_raw()),
        }
    }
}

impl fmt::Debug for Veto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Veto({:?}, {:?})", self.status(), self.reason())
    }
}

impl core::error::Error for Veto {}

impl From<Status> for Veto {
    fn from(status: Status) -> Self {
        Self::new(status, status.sentence().unwrap_or("no reason given"))
    }
}

impl From<Errno> for Veto {
    fn from(errno: Errno) -> Self {
        Self::new(Status::from_errno(errno), errno.to_string())
    }
}

impl From<&'static str> for Veto {
    fn from(reason: &'static str) -> Self {
        Self::new(Status::UNSUCCESSFUL, reason)
    }
}

impl From<String> for Veto {
    fn from(reason: String) -> Self {
        Self::new(Status::UNSUCCESSFUL, reason)
    }
}

impl From<TryReserveError> for Veto {
    fn from(error: TryReserveError) -> Self {
        Self::new(Status::INSUFFICIENT_RESOURCES, error.to_string())
    }
}

#[cfg(feature = "std")]
impl From<std::io::Error> for Veto {
    fn from(error: std::io::Error) -> Self {
        let status = match error.raw_os_error() {
            Some(number) => Status::from_errno(Errno::from_raw(number)),
            None if error.kind() == std::io::ErrorKind::OutOfMemory => {
                Status::INSUFFICIENT_RESOURCES
            }
            None => Status::UNSUCCESSFUL,
        };
        Self::new(status, error.to_string())
    }
}
