//! Converts bytes to 16-bit units and back. The code page is UTF-8, so the `Ansi` functions do the same as the
//! `UTF8` ones.

use hotadd::Status;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{AnsiString, Boolean, Counted, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::buffers;
use crate::kernel::rtl::counted::BUFFER_TOO_SMALL;
use crate::kernel::rtl::text::Unit;

/// `STATUS_SOME_NOT_MAPPED`: not an error.
const SOME_NOT_MAPPED: Status = Status::from_raw(0x0000_0107);
/// `STATUS_INVALID_PARAMETER_2`, `_4`, `_5`.
const INVALID_PARAMETER_2: Status = Status::from_raw(0xC000_00F0);
const INVALID_PARAMETER_4: Status = Status::from_raw(0xC000_00F2);
const INVALID_PARAMETER_5: Status = Status::from_raw(0xC000_00F3);

nt! {
    /// Converts a string of bytes to one of units, with a zero at the end.
    fn RtlAnsiStringToUnicodeString(to: Out<UnicodeString>, from: In<AnsiString>, allocate: Boolean) -> NtStatus {
        nt_status(string(to, &u16::from_bytes(&from.get().units()), allocate != 0))
    }

    /// Converts a string of units to one of bytes, with a zero at the end.
    fn RtlUnicodeStringToAnsiString(to: Out<AnsiString>, from: In<UnicodeString>, allocate: Boolean) -> NtStatus {
        nt_status(string(to, &u8::from_wide(&from.get().units()), allocate != 0))
    }

    /// As `RtlAnsiStringToUnicodeString`.
    fn RtlUTF8StringToUnicodeString(to: Out<UnicodeString>, from: In<AnsiString>, allocate: Boolean) -> NtStatus {
        nt_status(string(to, &u16::from_bytes(&from.get().units()), allocate != 0))
    }

    /// As `RtlUnicodeStringToAnsiString`.
    fn RtlUnicodeStringToUTF8String(to: Out<AnsiString>, from: In<UnicodeString>, allocate: Boolean) -> NtStatus {
        nt_status(string(to, &u8::from_wide(&from.get().units()), allocate != 0))
    }

    /// The size in bytes that `RtlAnsiStringToUnicodeString` needs, including the zero.
    fn RtlxAnsiStringToUnicodeSize(from: In<AnsiString>) -> u32 {
        size(&u16::from_bytes(&from.get().units()))
    }

    /// The size in bytes that `RtlUnicodeStringToAnsiString` needs, including the zero.
    fn RtlxUnicodeStringToAnsiSize(from: In<UnicodeString>) -> u32 {
        size(&u8::from_wide(&from.get().units()))
    }

    /// Converts UTF-8 to units.
    fn RtlUTF8ToUnicodeN(to: Out<u16>, room: u32, written: Out<u32>, from: In<u8>, length: u32) -> NtStatus {
        nt_status(utf8_to_units(to, room, written, from, length))
    }

    /// Converts units to UTF-8.
    fn RtlUnicodeToUTF8N(to: Out<u8>, room: u32, written: Out<u32>, from: In<u16>, length: u32) -> NtStatus {
        nt_status(units_to_utf8(to, room, written, from, length))
    }

    /// Converts bytes to units, as many as fit.
    fn RtlMultiByteToUnicodeN(to: Out<u16>, room: u32, written: Out<u32>, from: In<u8>, length: u32) -> NtStatus {
        nt_status(cut(to, room, written, &u16::from_bytes(&from.to_vec(length as usize))))
    }

    /// Converts units to bytes, as many as fit.
    fn RtlUnicodeToMultiByteN(to: Out<u8>, room: u32, written: Out<u32>, from: In<u16>, length: u32) -> NtStatus {
        nt_status(cut(to, room, written, &u8::from_wide(&from.to_vec(length as usize / 2))))
    }
}

fn size<U>(text: &[U]) -> u32 {
    u32::try_from(size_of_val(text) + size_of::<U>()).unwrap_or(u32::MAX)
}

fn string<U: Unit>(to: Out<Counted<U>>, text: &[U], allocate: bool) -> Status {
    let Ok(size) = u16::try_from(size(text)) else { return INVALID_PARAMETER_2 };
    let mut string = to.get();
    if allocate {
        let Some(buffer) = buffers::allocate(buffers::STRING, usize::from(size)) else {
            return Status::NO_MEMORY;
        };
        string = Counted { length: 0, maximum_length: size, buffer: buffer.cast() };
    } else if size > string.maximum_length {
        return Status::BUFFER_OVERFLOW;
    }
    string.write(0, text);
    to.put(string);
    Status::SUCCESS
}

fn cut<U: Unit>(to: Out<U>, room: u32, written: Out<u32>, text: &[U]) -> Status {
    let units = text.len().min(room as usize / size_of::<U>());
    to.put_all(&text[..units]);
    written.put_if_wanted(u32::try_from(units * size_of::<U>()).unwrap_or(u32::MAX));
    Status::SUCCESS
}

/// Decodes one character at a time; an invalid one is `None`.
fn units_to_utf8(to: Out<u8>, room: u32, written: Out<u32>, from: In<u16>, length: u32) -> Status {
    if from.non_null().is_none() {
        return INVALID_PARAMETER_4;
    }
    if !length.is_multiple_of(2) {
        return INVALID_PARAMETER_5;
    }
    let units = from.to_vec(length as usize / 2);
    let characters = char::decode_utf16(units).map(Result::ok);
    let encode = |character: char| character.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
    converted(to, room, written, characters, encode)
}

fn utf8_to_units(to: Out<u16>, room: u32, written: Out<u32>, from: In<u8>, length: u32) -> Status {
    if from.non_null().is_none() {
        return INVALID_PARAMETER_4;
    }
    let bytes = from.to_vec(length as usize);
    let characters = bytes.utf8_chunks().flat_map(|chunk| {
        let wrong = (!chunk.invalid().is_empty()).then_some(None);
        chunk.valid().chars().map(Some).chain(wrong)
    });
    let encode = |character: char| character.encode_utf16(&mut [0; 2]).to_vec();
    converted(to, room, written, characters, encode)
}

/// Writes as many whole characters as fit; an invalid one becomes U+FFFD.
fn converted<U: Unit>(
    to: Out<U>,
    room: u32,
    written: Out<u32>,
    characters: impl Iterator<Item = Option<char>>,
    encode: impl Fn(char) -> Vec<U>,
) -> Status {
    let wanted = to.non_null().is_some();
    if !wanted && written.non_null().is_none() {
        return Status::INVALID_PARAMETER;
    }
    let (mut done, mut status) = (0, Status::SUCCESS);
    for character in characters {
        let text = encode(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        if wanted && (done + text.len()) * size_of::<U>() > room as usize {
            status = BUFFER_TOO_SMALL;
            break;
        }
        if character.is_none() {
            status = SOME_NOT_MAPPED;
        }
        if wanted {
            to.skip(done).put_all(&text);
        }
        done += text.len();
    }
    written.put_if_wanted(u32::try_from(done * size_of::<U>()).unwrap_or(u32::MAX));
    status
}
