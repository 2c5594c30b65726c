//! [`Failure`]: why a function failed, and `hotadd_error`, which gives it to the program.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use hotadd::{Error, PageError, Status};

thread_local! {
    /// The last failure on this thread.
    static LAST: RefCell<Option<(Status, CString)>> = const { RefCell::new(None) };
}

/// Why a function failed: the status that it returns, and the message.
#[derive(Debug)]
pub(crate) struct Failure {
    status: Status,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// An argument is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::INVALID_PARAMETER, message)
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.status(), error.to_string())
    }
}

impl From<PageError> for Failure {
    fn from(error: PageError) -> Self {
        let status = match error {
            PageError::Ended => Status::CONNECTION_RESET,
            PageError::Stuck => Status::IO_TIMEOUT,
            PageError::Owner { .. } => Status::ACCESS_DENIED,
            PageError::NoPage { .. } => Status::INVALID_PARAMETER,
            _ => Status::OBJECT_NAME_NOT_FOUND,
        };
        Self::new(status, error.to_string())
    }
}

/// Stores a failure for `hotadd_error`, and returns its status.
pub(crate) fn failed(failure: Failure) -> i32 {
    let Failure { status, message } = failure;
    LAST.set(Some((status, c_text(&message))));
    raw(status)
}

/// The message of the last failure on this thread, unless it was a wrong handle too.
pub(crate) fn before() -> Option<String> {
    LAST.with_borrow(|last| {
        let (_, message) = last.as_ref().filter(|last| last.0 != Status::INVALID_HANDLE)?;
        Some(message.to_string_lossy().into_owned())
    })
}

/// The status of a result. Its failure is stored for `hotadd_error`.
pub(crate) fn told(result: Result<(), Failure>) -> i32 {
    result.map_or_else(failed, |()| raw(Status::SUCCESS))
}

/// The value of a result, or `otherwise`. Its failure is stored for `hotadd_error`.
pub(crate) fn value_or<T>(result: Result<T, Failure>, otherwise: T) -> T {
    result.unwrap_or_else(|failure| {
        failed(failure);
        otherwise
    })
}

/// A status as C sees it.
pub(crate) const fn raw(status: Status) -> i32 {
    status.to_raw().cast_signed()
}

/// A text as a C string.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{FFFD}")).unwrap_or_default()
}

/// The text of a C string.
///
/// # Safety
/// `text` is a C string, or NULL. It stays valid and unchanged for as long as the result is used.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(Failure::invalid("the text is NULL"));
    }
    // SAFETY: not NULL, and so a C string by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::invalid("the text is not UTF-8"))
}

/// The message of the last of these functions that failed on this thread. It is valid until the next failure.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_error() -> *const c_char {
    LAST.with_borrow(|last| last.as_ref().map_or(c"".as_ptr(), |(_, message)| message.as_ptr()))
}

/// The status of the last of these functions that failed on this thread. 0 if none has.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_error_status() -> i32 {
    LAST.with_borrow(|last| last.as_ref().map_or(0, |(status, _)| raw(*status)))
}
