//! [`Cause`]: why a thread cannot continue, in numbers that a signal handler can record, and as text.

use std::fmt;
use std::time::Duration;

use hotadd::Status;

use crate::ground::context::Record;
use crate::ground::frameworks;
use crate::ground::rule::Rule;

/// Why a thread cannot continue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cause {
    /// An access to memory. The address is unknown if it was not canonical.
    Access {
        how: How,
        at: Option<usize>,
    },
    /// The stack overflowed.
    StackOverflow,
    /// An import of the driver that nothing provides.
    Missing {
        how: How,
        name: &'static str,
    },
    /// The page that a Windows kernel shares with all processes.
    Shared {
        how: How,
        offset: usize,
    },
    /// An instruction that only a kernel may execute.
    Privileged(&'static str),
    /// `__fastfail`, with its code.
    FastFail(u32),
    /// A failed assertion in the driver.
    Assertion,
    Breakpoint,
    SingleStep,
    Illegal,
    DivideByZero,
    DivideOverflow,
    FloatingPoint,
    /// An `int` with a vector that has no meaning here.
    Interrupt(u8),
    /// The driver did not answer within its time limit.
    Overdue(Duration),
    /// The driver raised the exception itself.
    Raised(Status),
}

/// How memory was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Reading,
    Writing,
    Executing,
}

/// The names of the `__fastfail` codes in the public headers.
const FAST_FAILS: &[&str] = &[
    "LEGACY_GS_VIOLATION",
    "VTGUARD_CHECK_FAILURE",
    "STACK_COOKIE_CHECK_FAILURE",
    "CORRUPT_LIST_ENTRY",
    "INCORRECT_STACK",
    "INVALID_ARG",
    "GS_COOKIE_INIT",
    "FATAL_APP_EXIT",
    "RANGE_CHECK_FAILURE",
    "UNSAFE_REGISTRY_ACCESS",
];

impl Cause {
    /// The status that Windows uses for this cause.
    pub(crate) const fn status(self) -> Status {
        let value = match self {
            Self::Access { .. } | Self::Shared { .. } => 0xC000_0005,
            Self::StackOverflow => 0xC000_00FD,
            Self::Missing { .. } => 0xC000_0139,
            Self::Privileged(_) => 0xC000_0096,
            Self::FastFail(_) => 0xC000_0409,
            Self::Assertion => 0xC000_0420,
            Self::Breakpoint => 0x8000_0003,
            Self::SingleStep => 0x8000_0004,
            Self::Illegal | Self::Interrupt(_) => 0xC000_001D,
            Self::DivideByZero => 0xC000_0094,
            Self::DivideOverflow => 0xC000_0095,
            Self::FloatingPoint => 0xC000_0090,
            Self::Overdue(_) => 0xC000_00B5,
            Self::Raised(status) => return status,
        };
        Status::from_raw(value)
    }

    /// The rule that a driver broke.
    pub(crate) const fn rule(self) -> Rule {
        match self {
            Self::Missing { .. } => Rule::MissingImport,
            Self::Overdue(_) => Rule::OverBudget,
            _ => Rule::Crash,
        }
    }

    /// The address that could not be accessed, if this was the cause.
    pub(crate) const fn accessed(self) -> Option<usize> {
        match self {
            Self::Access { at, .. } => at,
            _ => None,
        }
    }

    /// The exception record that a driver's handler receives. `None` if the driver cannot handle this
    /// cause.
    pub(crate) fn record(self, address: usize) -> Option<Record> {
        let record = Record::new(self.status().to_raw(), address);
        match self {
            Self::Access { how, at } => {
                let how = match how {
                    How::Reading => 0,
                    How::Writing => 1,
                    How::Executing => 8,
                };
                // Windows uses this address if the real one is unknown.
                Some(record.with(how, at.unwrap_or(usize::MAX)))
            }
            Self::StackOverflow
            | Self::Missing { .. }
            | Self::Shared { .. }
            | Self::FastFail(_)
            | Self::Overdue(_) => None,
            _ => Some(record),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "reading",
            Self::Writing => "writing",
            Self::Executing => "executing",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Access { how, at: Some(at) } => write!(f, "access violation {how} {at:#x}"),
            Self::Access { how, at: None } => {
                write!(f, "access violation {how} a non-canonical address")
            }
            Self::StackOverflow => f.write_str("stack overflow"),
            Self::Missing { how, name } => {
                let how = match how {
                    How::Reading => "reads",
                    How::Writing => "writes",
                    How::Executing => "calls",
                };
                write!(f, "{how} {name}, which is not provided,")?;
                let file = name.split_once('!').map_or(name, |(file, _)| file);
                match frameworks::of(file) {
                    Some(one) => write!(f, " because hotadd does not host {},", one.name),
                    None => Ok(()),
                }
            }
            Self::Shared { how, offset } => {
                let how = if how == How::Writing { "writes" } else { "reads" };
                write!(f, "{how} KUSER_SHARED_DATA+{offset:#x}, which is not provided,")
            }
            Self::Privileged(name) => write!(f, "executes {name}, which needs ring 0,"),
            Self::FastFail(code) => match FAST_FAILS.get(code as usize) {
                Some(name) => write!(f, "fast-fail {code} ({name})"),
                None => write!(f, "fast-fail {code}"),
            },
            Self::Assertion => f.write_str("assertion failed"),
            Self::Breakpoint => f.write_str("breakpoint"),
            Self::SingleStep => f.write_str("single-step trap"),
            Self::Illegal => f.write_str("illegal instruction"),
            Self::DivideByZero => f.write_str("divides by zero"),
            Self::DivideOverflow => f.write_str("a division overflows"),
            Self::FloatingPoint => f.write_str("floating-point exception"),
            Self::Interrupt(number) => {
                write!(f, "executes int {number:#x}, which is not supported,")
            }
            Self::Overdue(limit) => write!(f, "no answer in {limit:?}: still"),
            Self::Raised(status) => match status.name() {
                Some(name) => {
                    write!(f, "raises {name} ({:#010X}), which has no handler,", status.to_raw())
                }
                None => write!(f, "raises {:#010X}, which has no handler,", status.to_raw()),
            },
        }
    }
}
