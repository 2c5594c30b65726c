//! One D-Bus message in the bytes of an untrusted peer: its length, and a check before zbus decodes it.
//!
//! zbus does not check the names in a header, and panics when it is asked for an invalid one. It also rejects what the
//! specification says to ignore: unknown types, flags and fields.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use zbus::connection::socket::ReadHalf;
use zbus::export::async_trait::async_trait;
use zbus::names::{BusName, ErrorName, InterfaceName, MemberName, UniqueName};
use zbus::zvariant::serialized::{self, Data};
use zbus::zvariant::{Endian, ObjectPath, Value};

use crate::limits::MAX_MESSAGE;
use crate::message::Message;

/// The length of the part of a header that gives the length of the message. The fields begin after it.
pub const START: usize = 16;

/// The offset in it of the length of the fields.
const FIELDS_LENGTH: usize = 12;

/// The flags that are defined.
const FLAGS: u8 = 0x7;

/// The types of message that are defined.
const TYPES: std::ops::RangeInclusive<u8> = 1..=4;

/// The fields of a header that are defined.
const FIELDS: std::ops::RangeInclusive<u8> = 1..=9;

/// The field with the destination. Some libraries write an empty one for a connection without a bus, which D-Bus does not allow.
const DESTINATION: u8 = 6;

/// The field with the number of descriptors that were sent along.
const DESCRIPTORS: u8 = 9;

/// Why a message is rejected. The bytes after it cannot be trusted either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// It is not a D-Bus message.
    #[error("it sent bytes that are not a D-Bus message")]
    NoMessage,
    /// A field of its header violates the specification.
    #[error("it sent a message with an invalid {0}")]
    Field(&'static str),
    /// It is larger than [`MAX_MESSAGE`].
    #[error("it announced a message of {0} bytes; the limit is {MAX_MESSAGE}")]
    TooLarge(u64),
}

/// The length of the message that begins with these bytes; `None` if there are too few bytes to tell.
///
/// # Errors
/// If it is not a message, or too large.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, Unsound> {
    let Some(start) = bytes.first_chunk::<START>() else { return Ok(None) };
    let number = |at: usize| u64::from(number(start, at));
    if !matches!(start[0], b'l' | b'B') {
        return Err(Unsound::NoMessage);
    }
    // The fields end on a multiple of eight, where the body begins.
    let length = START as u64 + number(FIELDS_LENGTH).next_multiple_of(8) + number(4);
    match usize::try_from(length) {
        Ok(length) if length <= MAX_MESSAGE => Ok(Some(length)),
        _ => Err(Unsound::TooLarge(length)),
    }
}

/// Decodes a message, the `sequence`th of its connection; `None` if its type is to be ignored. `bytes` must have the length that
/// [`length`] returned. The message gets as many of the descriptors as its header says.
///
/// # Errors
/// If it is not sound.
pub(crate) fn decode(
    bytes: &[u8],
    sequence: u64,
    descriptors: &mut VecDeque<OwnedFd>,
) -> Result<Option<Message>, Unsound> {
    let (Some(length), Some(kind)) = (length(bytes)?, bytes.get(1)) else {
        return Err(Unsound::NoMessage);
    };
    if *kind == 0 || length != bytes.len() {
        return Err(Unsound::NoMessage);
    }
    if !TYPES.contains(kind) {
        return Ok(None);
    }
    let mut own = 0;
    let mut sound = with_known_fields(bytes, &mut own)?;
    sound[2] &= FLAGS;
    // Never waits: the message is complete.
    let mut all = All;
    let own = usize::try_from(own).unwrap_or(usize::MAX).min(descriptors.len());
    let mut fds = descriptors.drain(..own).collect();
    let decoding = pin!(all.receive_message(sequence, &mut sound, &mut fds));
    match decoding.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(message)) => Ok(Some(Message(message))),
        _ => Err(Unsound::NoMessage),
    }
}

/// The length in bytes of a message that agrees and has no other content.
pub const AGREEMENT: usize = 24;

/// The message that agrees to a call: a reply without a body. Its serial is that of the call, because it gets no reply.
#[must_use]
pub fn agree(call: NonZeroU32) -> [u8; AGREEMENT] {
    let mut message = [0; AGREEMENT];
    let call = call.get().to_le_bytes();
    // A reply that expects no reply, in version 1.
    message[..4].copy_from_slice(&[b'l', 2, 1, 1]);
    message[8..12].copy_from_slice(&call);
    message[FIELDS_LENGTH] = 8;
    message[START..START + 4].copy_from_slice(&[5, 1, b'u', 0]);
    message[START + 4..].copy_from_slice(&call);
    message
}

/// The serial of the call to which a message agrees, if it has no other content. Each party that is asked sends one: reading it
/// takes a hundredth of the time of another message.
#[must_use]
pub fn agreement(bytes: &[u8; AGREEMENT]) -> Option<NonZeroU32> {
    let [order @ (b'l' | b'B'), 2, _, 1, body @ ..] = bytes else { return None };
    let (numbers, field) = (bytes.first_chunk::<START>()?, bytes.last_chunk::<8>()?);
    let [5, 1, b'u', 0, call @ ..] = field else { return None };
    if body[..4] != [0; 4] || number(numbers, 8) == 0 || number(numbers, FIELDS_LENGTH) != 8 {
        return None;
    }
    let call = if *order == b'B' { u32::from_be_bytes(*call) } else { u32::from_le_bytes(*call) };
    NonZeroU32::new(call)
}

/// A number in the byte order of the message.
fn number(start: &[u8; START], at: usize) -> u32 {
    let bytes = [start[at], start[at + 1], start[at + 2], start[at + 3]];
    if start[0] == b'B' { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

/// The message without undefined fields and without an empty destination, if the other fields are sound. `descriptors` becomes
/// the number of those that were sent along, according to the header.
fn with_known_fields(bytes: &[u8], descriptors: &mut u32) -> Result<Vec<u8>, Unsound> {
    let start = bytes.first_chunk::<START>().ok_or(Unsound::NoMessage)?;
    let endian = if start[0] == b'B' { Endian::Big } else { Endian::Little };
    let end = START + number(start, FIELDS_LENGTH) as usize;
    let fields = bytes.get(..end).ok_or(Unsound::NoMessage)?;
    let mut known = start.to_vec();
    let mut at = START;
    let mut all_known = true;
    while at < end {
        let (code, held, size) = match plain(&fields[at..], endian) {
            Some(field) => field,
            None => other(&fields[at..], serialized::Context::new_dbus(endian, at))?,
        };
        let is_empty = matches!((code, held), (DESTINATION, Held::Text("")));
        if !is_empty {
            check(code, held)?;
        }
        if let (DESCRIPTORS, Held::Number(number)) = (code, held) {
            *descriptors = number;
        }
        // zvariant may have read a byte beyond the end.
        let raw = fields.get(at..at + size).ok_or(Unsound::NoMessage)?;
        if FIELDS.contains(&code) && !is_empty {
            // Each field begins on a multiple of eight, so alignment within a field does not change when it moves.
            known.resize(known.len().next_multiple_of(8), 0);
            known.extend_from_slice(raw);
        } else {
            all_known = false;
        }
        at = (at + size).next_multiple_of(8);
    }
    if all_known {
        return Ok(bytes.to_vec());
    }
    // The result is shorter than the original, so its length fits.
    let length = u32::try_from(known.len() - START).map_err(|_| Unsound::NoMessage)?;
    let length = if start[0] == b'B' { length.to_be_bytes() } else { length.to_le_bytes() };
    known[FIELDS_LENGTH..START].copy_from_slice(&length);
    known.resize(known.len().next_multiple_of(8), 0);
    known.extend_from_slice(bytes.get(end.next_multiple_of(8)..).ok_or(Unsound::NoMessage)?);
    Ok(known)
}

/// The content of a header field.
#[derive(Clone, Copy)]
enum Held<'a> {
    Path(&'a str),
    Text(&'a str),
    Number(u32),
    /// A signature, or something that no defined field contains.
    Other,
}

/// Parses a field whose value is a text, path, signature or number, as all defined fields have: its code, its content and
/// its length. Returns `None` if it is another field, or damaged. zvariant reads any field, and takes some hundred times as long.
fn plain(field: &[u8], endian: Endian) -> Option<(u8, Held<'_>, usize)> {
    let [code, 1, kind, 0, value @ ..] = field else { return None };
    if *kind == b'g' {
        let end = 2 + usize::from(*value.first()?);
        return (*value.get(end - 1)? == 0).then_some((*code, Held::Other, 4 + end));
    }
    let (first, rest) = value.split_first_chunk::<4>()?;
    let number =
        if endian == Endian::Big { u32::from_be_bytes(*first) } else { u32::from_le_bytes(*first) };
    if *kind == b'u' {
        return Some((*code, Held::Number(number), 8));
    }
    let length = usize::try_from(number).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    let text = std::str::from_utf8(text).ok().filter(|text| !text.contains('\0'))?;
    let held = match kind {
        b's' => Held::Text(text),
        b'o' => Held::Path(text),
        _ => return None,
    };
    (*rest.first()? == 0).then_some((*code, held, 9 + length))
}

/// Parses any other field.
fn other(field: &[u8], context: serialized::Context) -> Result<(u8, Held<'_>, usize), Unsound> {
    let field = Data::new(field, context);
    let read = field.deserialize::<(u8, Value<'_>)>();
    let ((code, _), size) = read.map_err(|_| Unsound::NoMessage)?;
    Ok((code, Held::Other, size))
}

/// Checks that a field contains what its code requires.
fn check(code: u8, held: Held<'_>) -> Result<(), Unsound> {
    let (name, sound) = match (code, held) {
        (0, _) => ("field without a code", false),
        (1, Held::Path(path)) => ("path", ObjectPath::try_from(path).is_ok()),
        (2, Held::Text(name)) => ("interface", InterfaceName::try_from(name).is_ok()),
        (3, Held::Text(name)) => ("member", MemberName::try_from(name).is_ok()),
        (4, Held::Text(name)) => ("error name", ErrorName::try_from(name).is_ok()),
        (DESTINATION, Held::Text(name)) => ("destination", BusName::try_from(name).is_ok()),
        (7, Held::Text(name)) => ("sender", UniqueName::try_from(name).is_ok()),
        (1..=4 | 6 | 7, _) => ("name", false),
        // Numbers and the signature are checked where they are decoded.
        _ => ("", true),
    };
    if sound { Ok(()) } else { Err(Unsound::Field(name)) }
}

/// A socket with nothing more to read.
#[derive(Debug)]
struct All;

#[async_trait]
impl ReadHalf for All {
    async fn recvmsg(&mut self, _: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        Ok((0, Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a message without descriptors.
    fn read(bytes: &[u8]) -> Result<Option<Message>, Unsound> {
        decode(bytes, 1, &mut VecDeque::new())
    }

    /// A field of a header: its code, and a value of this type.
    type Field<'a> = (u8, Value<'a>);

    fn fields() -> Vec<Field<'static>> {
        let path = ObjectPath::from_static_str_unchecked("/a/b");
        vec![(1, Value::from(path)), (3, Value::from("AddStart")), (7, Value::from(":1.5"))]
    }

    /// A call with these fields and the number 5 as its body.
    fn message(endian: Endian, fields: &[Field<'_>]) -> Vec<u8> {
        let order = |n: u32| match endian {
            Endian::Big => n.to_be_bytes(),
            Endian::Little => n.to_le_bytes(),
        };
        let mut bytes = vec![if endian == Endian::Big { b'B' } else { b'l' }, 1, 0xF0, 1];
        bytes.extend(order(4));
        bytes.extend(order(9));
        let context = serialized::Context::new_dbus(endian, FIELDS_LENGTH);
        let signature = (8, Value::from(zbus::zvariant::Signature::U32));
        let fields: Vec<&Field<'_>> = fields.iter().chain([&signature]).collect();
        bytes.extend_from_slice(&zbus::zvariant::to_bytes(context, &fields).unwrap());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes.extend(order(5));
        bytes
    }

    #[test]
    fn a_message_larger_than_128_kib_is_refused() {
        let begins = |body: u32| {
            let mut bytes = vec![b'l', 1, 0, 1];
            bytes.extend([body, 9, 0].iter().flat_map(|number| number.to_le_bytes()));
            length(&bytes)
        };
        assert_eq!(begins(131_072 - 16), Ok(Some(131_072)));
        assert_eq!(begins(131_072 - 15), Err(Unsound::TooLarge(131_073)));
    }

    /// The error for a message with this header field.
    fn decode_error(code: u8, value: impl Into<Value<'static>>) -> Unsound {
        read(&message(Endian::Little, &[(code, value.into())])).unwrap_err()
    }

    #[test]
    fn the_length_of_a_message_is_read_in_both_byte_orders() {
        for endian in [Endian::Little, Endian::Big] {
            let bytes = message(endian, &fields());
            assert_eq!(length(&bytes), Ok(Some(bytes.len())));
            assert_eq!(length(&bytes[..15]), Ok(None), "too short to read the length");
        }
        assert_eq!(length(&[0xFF; 16]), Err(Unsound::NoMessage), "no byte order");
        let mut huge = [0xFF; 16];
        huge[0] = b'l';
        let all = 16 + (1_u64 << 32) + u64::from(u32::MAX);
        assert_eq!(length(&huge), Err(Unsound::TooLarge(all)));
    }

    #[test]
    fn an_empty_destination_counts_as_a_missing_one() {
        for endian in [Endian::Little, Endian::Big] {
            let with = [fields(), vec![(DESTINATION, Value::from(""))]].concat();
            let message = read(&message(endian, &with)).unwrap().unwrap();
            assert_eq!(message.head().destination(), None);
            assert_eq!(message.head().member(), "AddStart", "the other fields stay");
            assert_eq!(message.arguments::<u32>().unwrap(), 5);
        }
    }

    #[test]
    fn unknown_fields_flags_and_types_are_ignored() {
        let unknown = [
            (200, Value::from(7_u8)),
            (10, Value::from("a longer text, of whatever kind")),
            (255, Value::from(vec![1_u64, 2])),
        ];
        for endian in [Endian::Little, Endian::Big] {
            for at in 0..=3 {
                let mut fields = fields();
                fields.splice(at..at, unknown.iter().map(|(c, v)| (*c, v.try_clone().unwrap())));
                let read = read(&message(endian, &fields)).unwrap().unwrap();
                let header = read.0.header();
                let names = (header.path().unwrap().as_str(), header.member().unwrap().as_str());
                assert_eq!(names, ("/a/b", "AddStart"), "unknown fields in place {at}");
                assert_eq!(header.sender().unwrap().as_str(), ":1.5");
                assert_eq!(read.0.body().deserialize::<u32>().unwrap(), 5, "the body is intact");
            }
        }
        let mut other = message(Endian::Little, &fields());
        other[1] = 5;
        assert!(read(&other).unwrap().is_none(), "a type of message that is not defined");
        other[1] = 0;
        assert_eq!(read(&other).unwrap_err(), Unsound::NoMessage, "type 0 is an error");
    }

    #[test]
    fn an_invalid_name_is_reported_by_its_field() {
        for (code, field) in
            [(2, "interface"), (3, "member"), (4, "error name"), (6, "destination"), (7, "sender")]
        {
            assert_eq!(decode_error(code, "not a name!"), Unsound::Field(field));
            assert_eq!(decode_error(code, 5_u32), Unsound::Field("name"), "a number is not a text");
        }
        assert_eq!(decode_error(1, "/a"), Unsound::Field("name"), "a text is not an object path");
        assert_eq!(decode_error(0, 1_u32), Unsound::Field("field without a code"));
        assert_eq!(decode_error(5, 0_u32), Unsound::NoMessage, "0 is not a valid serial");
        assert_eq!(decode_error(8, 5_u32), Unsound::NoMessage, "a number is not a signature");
    }

    #[test]
    fn every_accepted_agreement_is_an_empty_reply_to_zbus() {
        let call = NonZeroU32::new(0x0102_0304).unwrap();
        let bytes = agree(call);
        for at in 0..AGREEMENT {
            for byte in 0..=255 {
                let mut bytes = bytes;
                bytes[at] = byte;
                let Some(agreed) = agreement(&bytes) else { continue };
                let read = read(&bytes).unwrap().unwrap();
                assert_eq!(read.0.message_type(), zbus::message::Type::MethodReturn, "{bytes:?}");
                assert_eq!(read.0.header().reply_serial(), Some(agreed), "{bytes:?}");
                assert!(read.0.body().is_empty(), "{bytes:?}");
            }
        }
        assert_eq!(agreement(&bytes), Some(call));
        let path = ObjectPath::from_static_str_unchecked("/a");
        let call = zbus::Message::method_call(path, "AddStart").unwrap().build(&()).unwrap();
        let reply = zbus::Message::method_return(&call.header()).unwrap().build(&()).unwrap();
        let bytes = <[u8; AGREEMENT]>::try_from(&**reply.data()).unwrap();
        assert_eq!(
            agreement(&bytes),
            Some(call.primary_header().serial_num()),
            "zbus's own encoding"
        );
    }

    #[test]
    fn a_damaged_header_does_not_panic() {
        let whole = message(Endian::Little, &fields());
        for at in 0..whole.len() - 4 {
            for byte in 0..=255 {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                let Ok(Some(length)) = length(&bytes) else { continue };
                bytes.resize(length, 0);
                if let Ok(Some(read)) = read(&bytes) {
                    // zbus would panic here if a name were invalid.
                    let _ = format!("{read:?}");
                }
            }
        }
    }
}
