//! Counted strings: initialising, copying, appending, freeing.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{AnsiString, Counted, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::buffers;
use crate::kernel::rtl::text::Unit;

/// `STATUS_NAME_TOO_LONG`.
const NAME_TOO_LONG: Status = Status::from_raw(0xC000_0106);
/// `STATUS_BUFFER_TOO_SMALL`.
pub(crate) const BUFFER_TOO_SMALL: Status = Status::from_raw(0xC000_0023);

nt! {
    /// Initialises a string from a zero-terminated text. A text that is too long for a string is cut.
    fn RtlInitUnicodeString(string: Out<UnicodeString>, text: Out<u16>) {
        begin(string, text);
    }

    /// Initialises a string from a zero-terminated text, unless the text is too long for a string.
    fn RtlInitUnicodeStringEx(string: Out<UnicodeString>, text: Out<u16>) -> NtStatus {
        nt_status(begin(string, text))
    }

    /// As `RtlInitUnicodeString`, for bytes.
    fn RtlInitAnsiString(string: Out<AnsiString>, text: Out<u8>) {
        begin(string, text);
    }

    /// As `RtlInitUnicodeString`, for bytes.
    fn RtlInitString(string: Out<AnsiString>, text: Out<u8>) {
        begin(string, text);
    }

    /// As `RtlInitUnicodeString`, for bytes.
    fn RtlInitUTF8String(string: Out<AnsiString>, text: Out<u8>) {
        begin(string, text);
    }

    /// Copies as much as fits.
    fn RtlCopyUnicodeString(to: Out<UnicodeString>, from: In<UnicodeString>) {
        copy(to, from);
    }

    /// Copies as much as fits.
    fn RtlCopyString(to: Out<AnsiString>, from: In<AnsiString>) {
        copy(to, from);
    }

    /// Appends a zero-terminated text, if it fits.
    fn RtlAppendUnicodeToString(to: Out<UnicodeString>, text: In<u16>) -> NtStatus {
        nt_status(append(to, &text.non_null().map_or_else(Vec::new, In::terminated)))
    }

    /// Appends a string, if it fits.
    fn RtlAppendUnicodeStringToString(to: Out<UnicodeString>, from: In<UnicodeString>) -> NtStatus {
        nt_status(append(to, &from.get().units()))
    }

    /// Appends a string, if it fits.
    fn RtlAppendStringToString(to: Out<AnsiString>, from: In<AnsiString>) -> NtStatus {
        nt_status(append(to, &from.get().units()))
    }

    /// Frees the buffer that a conversion has allocated.
    fn RtlFreeUnicodeString(string: Out<UnicodeString>) {
        free(string);
    }

    /// Frees the buffer that a conversion has allocated.
    fn RtlFreeAnsiString(string: Out<AnsiString>) {
        free(string);
    }

    /// Frees the buffer that a conversion has allocated.
    fn RtlFreeUTF8String(string: Out<AnsiString>) {
        free(string);
    }
}

impl<U: Unit> Counted<U> {
    /// The empty string.
    pub(crate) const EMPTY: Self =
        Self { length: 0, maximum_length: 0, buffer: std::ptr::null_mut() };

    /// A copy of its text.
    pub(crate) fn units(self) -> Vec<U> {
        // SAFETY: a driver made the string, and its buffer is readable up to its length; or it is empty and its
        // buffer is null.
        let buffer = unsafe { In::new(self.buffer.cast_const()) };
        buffer.to_vec(usize::from(self.length) / size_of::<U>())
    }

    /// Writes `text`, which fits, from byte `at` on, followed by a zero if that fits too. The string ends after the
    /// text.
    pub(crate) fn write(&mut self, at: usize, text: &[U]) {
        // SAFETY: a driver made the string, and its buffer is writable up to its maximum length.
        let to = unsafe { Out::new(self.buffer) };
        let end = at + size_of_val(text);
        to.skip(at / size_of::<U>()).put_all(text);
        if end + size_of::<U>() <= usize::from(self.maximum_length) {
            to.skip(end / size_of::<U>()).put(U::default());
        }
        self.length = u16::try_from(end).unwrap_or(u16::MAX);
    }
}

fn begin<U: Unit>(string: Out<Counted<U>>, text: Out<U>) -> Status {
    let Some(text) = text.non_null() else {
        string.put(Counted::EMPTY);
        return Status::SUCCESS;
    };
    let unit = size_of::<U>();
    // The length including the zero must be representable.
    let most = usize::from(u16::MAX) / unit - 1;
    let length = text.readable().length_within(most + 1);
    let bytes = |units: usize| u16::try_from(units * unit).unwrap_or(u16::MAX);
    let cut = length.min(most);
    string.put(Counted {
        length: bytes(cut),
        maximum_length: bytes(cut + 1),
        buffer: text.as_ptr(),
    });
    if cut < length { NAME_TOO_LONG } else { Status::SUCCESS }
}

fn copy<U: Unit>(to: Out<Counted<U>>, from: In<Counted<U>>) {
    let mut string = to.get();
    let text = from.non_null().map_or_else(Vec::new, |from| from.get().units());
    let room = usize::from(string.maximum_length) / size_of::<U>();
    string.write(0, &text[..text.len().min(room)]);
    to.put(string);
}

fn append<U: Unit>(to: Out<Counted<U>>, text: &[U]) -> Status {
    let mut string = to.get();
    let length = usize::from(string.length);
    if length + size_of_val(text) > usize::from(string.maximum_length) {
        return BUFFER_TOO_SMALL;
    }
    if !text.is_empty() {
        string.write(length, text);
        to.put(string);
    }
    Status::SUCCESS
}

fn free<U: Unit>(string: Out<Counted<U>>) {
    buffers::free(string.get().buffer.cast());
    string.put(Counted::EMPTY);
}
