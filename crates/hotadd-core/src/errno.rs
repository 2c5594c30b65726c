//! [`Errno`]: a Linux error number. A separate type, so that it cannot be used as a [`Status`].
//!
//! [`Status`]: crate::Status

use core::fmt;

/// A Linux error number, as on x86-64 and arm64.
///
/// ```
/// use hotadd_core::{Errno, Status};
///
/// assert_eq!(Errno::EAGAIN.to_string(), "EAGAIN (11)");
/// assert_eq!(Status::from(Errno::ENOMEM), Status::INSUFFICIENT_RESOURCES);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Errno(i32);

impl Errno {
    /// The error with this number. Positive, as in C's `errno`.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The number. Positive, as in C's `errno`.
    #[must_use]
    pub const fn to_raw(self) -> i32 {
        self.0
    }
}

/// Defines the named errors: the first columns of the public `asm-generic` headers.
macro_rules! errnos {
    ($($name:ident = $number:literal;)*) => {
        impl Errno {
            $(
                #[doc = concat!("`", stringify!($name), "` (", stringify!($number), ").")]
                pub const $name: Self = Self($number);
            )*

            /// The name, such as `EAGAIN`; `None` for a number that has no name here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }

            /// The error with this name, such as `EAGAIN`; `None` if it is not one named here.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $(stringify!($name) => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    EPERM = 1;
    ENOENT = 2;
    ESRCH = 3;
    EINTR = 4;
    EIO = 5;
    ENXIO = 6;
    EBADF = 9;
    EAGAIN = 11;
    ENOMEM = 12;
    EACCES = 13;
    EFAULT = 14;
    EBUSY = 16;
    EEXIST = 17;
    ENODEV = 19;
    EINVAL = 22;
    EMFILE = 24;
    ENOSPC = 28;
    EROFS = 30;
    EPIPE = 32;
    EDEADLK = 35;
    ENOSYS = 38;
    EPROTO = 71;
    EOVERFLOW = 75;
    EOPNOTSUPP = 95;
    ECONNRESET = 104;
    ETIMEDOUT = 110;
    EDQUOT = 122;
    ECANCELED = 125;
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
