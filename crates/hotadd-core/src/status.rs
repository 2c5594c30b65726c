//! [`Status`]: the NTSTATUS with which a driver answers, or which it is told.
//!
//! The numbers and names are those of the public Windows headers. The sentences are hotadd's own.

use core::fmt;

use crate::errno::Errno;

/// An NTSTATUS: 32 bits, an error when negative as a signed number.
///
/// Any value can be represented, named or not, because drivers may use their own codes. A status is an error exactly if
/// [`is_error`](Self::is_error) says so. This includes the warnings (`0x8xxxxxxx`) and excludes the informational codes
/// (`0x4xxxxxxx`).
///
/// ```
/// use hotadd_core::Status;
///
/// let status = Status::from_raw(0xC000009A);
/// assert_eq!(status, Status::INSUFFICIENT_RESOURCES);
/// assert!(status.is_error());
/// assert_eq!(
///     status.to_string(),
///     "STATUS_INSUFFICIENT_RESOURCES (0xC000009A): memory or another resource is exhausted",
/// );
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Status(u32);

impl Status {
    /// The status with this NTSTATUS value.
    #[must_use]
    pub const fn from_raw(value: u32) -> Self {
        Self(value)
    }

    /// The NTSTATUS value.
    #[must_use]
    pub const fn to_raw(self) -> u32 {
        self.0
    }

    /// This status if it is an error, otherwise [`Status::UNSUCCESSFUL`]: what a refusal or a failure tells must be an error (A2).
    #[must_use]
    pub const fn as_error(self) -> Self {
        if self.is_error() { self } else { Self::UNSUCCESSFUL }
    }

    /// Whether this is an error, and so a veto: negative as a signed number (A2).
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0.cast_signed() < 0
    }

    /// The status that best matches a Linux error; [`Status::UNSUCCESSFUL`] if there is none.
    #[must_use]
    pub fn from_errno(errno: Errno) -> Self {
        ERRNO.iter().find(|(_, e)| *e == errno).map_or(Self::UNSUCCESSFUL, |(s, _)| *s)
    }

    /// The Linux error that best matches this status: `None` for a status that is not an error, `EIO` for an error that has
    /// no better match.
    #[must_use]
    pub fn to_errno(self) -> Option<Errno> {
        if !self.is_error() {
            return None;
        }
        let found = ERRNO.iter().chain(ERRNO_ONE_WAY).find(|(s, _)| *s == self);
        Some(found.map_or(Errno::EIO, |(_, e)| *e))
    }
}

/// Defines the named statuses and the one table of names and sentences.
macro_rules! statuses {
    ($($name:ident = $value:literal, $sentence:literal;)*) => {
        impl Status {
            $(
                #[doc = concat!("`STATUS_", stringify!($name), "` (`", stringify!($value), "`): ", $sentence, ".")]
                pub const $name: Self = Self($value);
            )*

            /// The public name, such as `STATUS_CANCELLED`; `None` for a value that has no name here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(concat!("STATUS_", stringify!($name))),)*
                    _ => None,
                }
            }

            /// The meaning of the status, as a sentence without its full stop; `None` for an unnamed value.
            #[must_use]
            pub const fn sentence(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($sentence),)*
                    _ => None,
                }
            }

            /// Every status that has a name here, in ascending order of value.
            pub const NAMED: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

statuses! {
    SUCCESS = 0x0000_0000, "the operation succeeded";
    TIMEOUT = 0x0000_0102, "the wait timed out; not an error code";
    PENDING = 0x0000_0103, "the operation is in progress; not an error code";
    BUFFER_OVERFLOW = 0x8000_0005, "the data did not fit and was truncated";
    DEVICE_OFF_LINE = 0x8000_0010, "the processor is not online";
    DEVICE_BUSY = 0x8000_0011, "the device is busy";
    UNSUCCESSFUL = 0xC000_0001, "the operation failed for an unknown reason";
    NOT_IMPLEMENTED = 0xC000_0002, "the operation is not implemented";
    ACCESS_VIOLATION = 0xC000_0005, "memory was accessed at an invalid address";
    INVALID_HANDLE = 0xC000_0008, "the handle is not valid, or no longer valid";
    INVALID_PARAMETER = 0xC000_000D, "an argument is not valid";
    NO_SUCH_DEVICE = 0xC000_000E, "there is no such processor or device";
    NO_MEMORY = 0xC000_0017, "there is not enough memory";
    ACCESS_DENIED = 0xC000_0022, "access is not allowed";
    OBJECT_NAME_NOT_FOUND = 0xC000_0034, "nothing has that name";
    OBJECT_NAME_COLLISION = 0xC000_0035, "the name is already in use";
    DEVICE_ALREADY_ATTACHED = 0xC000_0038, "the processor has already joined";
    QUOTA_EXCEEDED = 0xC000_0044, "a limit has been reached";
    PRIVILEGE_NOT_HELD = 0xC000_0061, "a privilege is missing";
    DISK_FULL = 0xC000_007F, "there is no space left";
    INSUFFICIENT_RESOURCES = 0xC000_009A, "memory or another resource is exhausted";
    MEDIA_WRITE_PROTECTED = 0xC000_00A2, "it is read-only";
    DEVICE_NOT_READY = 0xC000_00A3, "the device is not ready";
    IO_TIMEOUT = 0xC000_00B5, "no answer came in time";
    NOT_SUPPORTED = 0xC000_00BB, "the operation is not supported";
    DEVICE_DOES_NOT_EXIST = 0xC000_00C0, "the device does not exist";
    INVALID_NETWORK_RESPONSE = 0xC000_00C3, "the answer does not follow the protocol";
    TOO_MANY_OPENED_FILES = 0xC000_011F, "too many files are open";
    CANCELLED = 0xC000_0120, "the operation was cancelled";
    PIPE_BROKEN = 0xC000_014B, "the other end of the pipe is gone";
    DRIVER_INTERNAL_ERROR = 0xC000_0183, "internal error in the driver";
    INVALID_DEVICE_STATE = 0xC000_0184, "the processor is not in a state that allows this";
    IO_DEVICE_ERROR = 0xC000_0185, "the device reported an error";
    POSSIBLE_DEADLOCK = 0xC000_0194, "the operation would deadlock";
    CONNECTION_RESET = 0xC000_020D, "the connection was reset";
    NOT_FOUND = 0xC000_0225, "it was not found";
    RETRY = 0xC000_022D, "it failed this time and may succeed when it is tried again";
    REQUEST_ABORTED = 0xC000_0240, "the request was interrupted";
}

/// Pairs that convert both ways.
const ERRNO: &[(Status, Errno)] = &[
    (Status::PRIVILEGE_NOT_HELD, Errno::EPERM),
    (Status::OBJECT_NAME_NOT_FOUND, Errno::ENOENT),
    (Status::NOT_FOUND, Errno::ESRCH),
    (Status::REQUEST_ABORTED, Errno::EINTR),
    (Status::IO_DEVICE_ERROR, Errno::EIO),
    (Status::NO_SUCH_DEVICE, Errno::ENXIO),
    (Status::INVALID_HANDLE, Errno::EBADF),
    (Status::RETRY, Errno::EAGAIN),
    (Status::INSUFFICIENT_RESOURCES, Errno::ENOMEM),
    (Status::ACCESS_DENIED, Errno::EACCES),
    (Status::ACCESS_VIOLATION, Errno::EFAULT),
    (Status::DEVICE_BUSY, Errno::EBUSY),
    (Status::OBJECT_NAME_COLLISION, Errno::EEXIST),
    (Status::DEVICE_DOES_NOT_EXIST, Errno::ENODEV),
    (Status::INVALID_PARAMETER, Errno::EINVAL),
    (Status::TOO_MANY_OPENED_FILES, Errno::EMFILE),
    (Status::DISK_FULL, Errno::ENOSPC),
    (Status::MEDIA_WRITE_PROTECTED, Errno::EROFS),
    (Status::PIPE_BROKEN, Errno::EPIPE),
    (Status::POSSIBLE_DEADLOCK, Errno::EDEADLK),
    (Status::NOT_IMPLEMENTED, Errno::ENOSYS),
    (Status::INVALID_NETWORK_RESPONSE, Errno::EPROTO),
    (Status::BUFFER_OVERFLOW, Errno::EOVERFLOW),
    (Status::NOT_SUPPORTED, Errno::EOPNOTSUPP),
    (Status::CONNECTION_RESET, Errno::ECONNRESET),
    (Status::IO_TIMEOUT, Errno::ETIMEDOUT),
    (Status::QUOTA_EXCEEDED, Errno::EDQUOT),
    (Status::CANCELLED, Errno::ECANCELED),
];

/// Statuses for which Linux has only an error that also means another status.
const ERRNO_ONE_WAY: &[(Status, Errno)] = &[
    (Status::NO_MEMORY, Errno::ENOMEM),
    (Status::DEVICE_ALREADY_ATTACHED, Errno::EEXIST),
    (Status::DEVICE_OFF_LINE, Errno::ENODEV),
    (Status::DEVICE_NOT_READY, Errno::ENODEV),
    (Status::INVALID_DEVICE_STATE, Errno::EBUSY),
];

impl From<Errno> for Status {
    fn from(errno: Errno) -> Self {
        Self::from_errno(errno)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.sentence()) {
            (Some(name), Some(sentence)) => write!(f, "{name} (0x{:08X}): {sentence}", self.0),
            _ => write!(f, "status 0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "Status(0x{:08X})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn a_status_is_an_error_exactly_when_negative_as_a_signed_number() {
        assert!(!Status::SUCCESS.is_error());
        assert!(!Status::PENDING.is_error());
        assert!(!Status::from_raw(0x4000_0000).is_error(), "informational codes do not veto");
        assert!(Status::from_raw(0x8000_0000).is_error(), "warnings veto too");
        assert!(Status::from_raw(0xFFFF_FFFF).is_error());
    }

    #[test]
    fn the_named_values_are_those_of_the_public_headers() {
        use windows_sys::Win32::Foundation as nt;
        let pairs = [
            (Status::SUCCESS, nt::STATUS_SUCCESS),
            (Status::TIMEOUT, nt::STATUS_TIMEOUT),
            (Status::PENDING, nt::STATUS_PENDING),
            (Status::BUFFER_OVERFLOW, nt::STATUS_BUFFER_OVERFLOW),
            (Status::DEVICE_OFF_LINE, nt::STATUS_DEVICE_OFF_LINE),
            (Status::DEVICE_BUSY, nt::STATUS_DEVICE_BUSY),
            (Status::UNSUCCESSFUL, nt::STATUS_UNSUCCESSFUL),
            (Status::NOT_IMPLEMENTED, nt::STATUS_NOT_IMPLEMENTED),
            (Status::ACCESS_VIOLATION, nt::STATUS_ACCESS_VIOLATION),
            (Status::INVALID_HANDLE, nt::STATUS_INVALID_HANDLE),
            (Status::INVALID_PARAMETER, nt::STATUS_INVALID_PARAMETER),
            (Status::NO_SUCH_DEVICE, nt::STATUS_NO_SUCH_DEVICE),
            (Status::NO_MEMORY, nt::STATUS_NO_MEMORY),
            (Status::ACCESS_DENIED, nt::STATUS_ACCESS_DENIED),
            (Status::OBJECT_NAME_NOT_FOUND, nt::STATUS_OBJECT_NAME_NOT_FOUND),
            (Status::OBJECT_NAME_COLLISION, nt::STATUS_OBJECT_NAME_COLLISION),
            (Status::DEVICE_ALREADY_ATTACHED, nt::STATUS_DEVICE_ALREADY_ATTACHED),
            (Status::QUOTA_EXCEEDED, nt::STATUS_QUOTA_EXCEEDED),
            (Status::PRIVILEGE_NOT_HELD, nt::STATUS_PRIVILEGE_NOT_HELD),
            (Status::DISK_FULL, nt::STATUS_DISK_FULL),
            (Status::INSUFFICIENT_RESOURCES, nt::STATUS_INSUFFICIENT_RESOURCES),
            (Status::MEDIA_WRITE_PROTECTED, nt::STATUS_MEDIA_WRITE_PROTECTED),
            (Status::DEVICE_NOT_READY, nt::STATUS_DEVICE_NOT_READY),
            (Status::IO_TIMEOUT, nt::STATUS_IO_TIMEOUT),
            (Status::NOT_SUPPORTED, nt::STATUS_NOT_SUPPORTED),
            (Status::DEVICE_DOES_NOT_EXIST, nt::STATUS_DEVICE_DOES_NOT_EXIST),
            (Status::INVALID_NETWORK_RESPONSE, nt::STATUS_INVALID_NETWORK_RESPONSE),
            (Status::TOO_MANY_OPENED_FILES, nt::STATUS_TOO_MANY_OPENED_FILES),
            (Status::CANCELLED, nt::STATUS_CANCELLED),
            (Status::PIPE_BROKEN, nt::STATUS_PIPE_BROKEN),
            (Status::DRIVER_INTERNAL_ERROR, nt::STATUS_DRIVER_INTERNAL_ERROR),
            (Status::INVALID_DEVICE_STATE, nt::STATUS_INVALID_DEVICE_STATE),
            (Status::IO_DEVICE_ERROR, nt::STATUS_IO_DEVICE_ERROR),
            (Status::POSSIBLE_DEADLOCK, nt::STATUS_POSSIBLE_DEADLOCK),
            (Status::CONNECTION_RESET, nt::STATUS_CONNECTION_RESET),
            (Status::NOT_FOUND, nt::STATUS_NOT_FOUND),
            (Status::RETRY, nt::STATUS_RETRY),
            (Status::REQUEST_ABORTED, nt::STATUS_REQUEST_ABORTED),
        ];
        assert_eq!(pairs.len(), Status::NAMED.len(), "a named status is missing from this test");
        for (ours, theirs) in pairs {
            assert_eq!(ours.to_raw(), theirs.cast_unsigned(), "{ours:?}");
        }
    }

    #[test]
    fn names_are_ascending_and_unique() {
        assert!(Status::NAMED.windows(2).all(|w| w[0] < w[1]));
    }

    #[test]
    fn every_listed_errno_converts_to_a_status_and_back() {
        for (status, errno) in ERRNO {
            assert_eq!(Status::from_errno(*errno), *status);
            assert_eq!(status.to_errno(), Some(*errno));
            assert!(status.is_error(), "{status:?} stands for {errno} and must be an error");
        }
        assert_eq!(Status::NO_MEMORY.to_errno(), Some(Errno::ENOMEM));
        assert_eq!(Status::SUCCESS.to_errno(), None);
        assert_eq!(Status::from_errno(Errno::from_raw(4095)), Status::UNSUCCESSFUL);
        assert_eq!(Status::from_raw(0xE000_0001).to_errno(), Some(Errno::EIO));
    }
}
