//! [`Exception`]: what a function raises where its public page says that it raises. A `.sys` can handle it. Where
//! nothing handles it, it is a fault of the driver.

use std::fmt;

use hotadd::Status;

use crate::ground::caller;

/// An exception of a function, in numbers: nothing has to be freed if a driver's handler takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exception {
    MutantNotOwned {
        function: &'static str,
    },
    /// A mutex that its owner has acquired as often as it can count.
    MutantLimit {
        function: &'static str,
    },
    SemaphoreLimit {
        by: i32,
        was: i32,
        limit: i32,
    },
    /// There is not enough pool. The tag is in the order in which it is shown; `asked` is the flag by which the driver
    /// asked for an exception.
    NoPool {
        size: usize,
        tag: [u8; 4],
        asked: &'static str,
    },
    /// Memory that is to be locked is not mapped at this address.
    NotMapped {
        at: usize,
    },
}

impl Exception {
    /// The status with which it is raised.
    pub(crate) const fn status(self) -> Status {
        match self {
            Self::MutantNotOwned { .. } => Status::from_raw(0xC000_0046),
            Self::MutantLimit { .. } => Status::from_raw(0xC000_0191),
            Self::SemaphoreLimit { .. } => Status::from_raw(0xC000_0047),
            Self::NoPool { .. } => Status::INSUFFICIENT_RESOURCES,
            Self::NotMapped { .. } => Status::ACCESS_VIOLATION,
        }
    }

    /// Ends the process: the caller cannot handle it.
    pub(crate) fn fault(self) -> ! {
        caller::fault_with(self.status(), self.to_string())
    }
}

impl fmt::Display for Exception {
    /// As the end of a sentence that begins with the driver's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MutantNotOwned { function } => {
                write!(f, "calls {function} for a mutex that this thread does not own")
            }
            Self::MutantLimit { function } => {
                write!(f, "calls {function} for a mutex that this thread has acquired 2^31 times")
            }
            Self::SemaphoreLimit { by, was, limit } => {
                write!(f, "releases a semaphore by {by} from {was}, beyond its limit {limit}")
            }
            Self::NoPool { size, tag, asked } => write!(
                f,
                "cannot get {size} bytes of pool, tag '{}', and had asked for an exception on failure ({asked})",
                tag.escape_ascii()
            ),
            Self::NotMapped { at } => {
                write!(f, "calls MmProbeAndLockPages for {at:#x}, which is not mapped")
            }
        }
    }
}

/// The result of a function for a caller that cannot handle exceptions.
pub(crate) fn or_fault<T>(result: Result<T, Exception>) -> T {
    result.unwrap_or_else(|exception| exception.fault())
}
