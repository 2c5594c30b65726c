//! Converts GUIDs to text and back, and creates new ones.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use hotadd::Status;
use parking_lot::Mutex;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::{Counted, NtStatus, UnicodeString, nt_status};
use crate::kernel::rtl::buffers;
use crate::kernel::rtl::text::{Unit, ascii};

/// `GUID`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guid {
    first: u32,
    second: u16,
    third: u16,
    rest: [u8; 8],
}

/// `{00000000-0000-0000-0000-000000000000}`
const LENGTH: usize = 38;
const DASHES: [usize; 4] = [9, 14, 19, 24];

nt! {
    /// Converts a GUID to text, which the caller frees.
    fn RtlStringFromGUID(guid: In<Guid>, to: Out<UnicodeString>) -> NtStatus {
        nt_status(print(guid.get(), to))
    }

    /// Converts a text to a GUID.
    fn RtlGUIDFromString(string: In<UnicodeString>, guid: Out<Guid>) -> NtStatus {
        nt_status(parse(&string.get().units(), guid))
    }

    /// Creates a GUID that no other call creates.
    fn ExUuidCreate(guid: Out<Guid>) -> NtStatus {
        nt_status(create(guid))
    }
}

impl Guid {
    pub(crate) const fn new(first: u32, second: u16, third: u16, rest: [u8; 8]) -> Self {
        Self { first, second, third, rest }
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { first, second, third, rest: [a, b, c, d, e, g, h, i] } = self;
        write!(f, "{{{first:08X}-{second:04X}-{third:04X}-{a:02X}{b:02X}-")?;
        write!(f, "{c:02X}{d:02X}{e:02X}{g:02X}{h:02X}{i:02X}}}")
    }
}

fn print(guid: Guid, to: Out<UnicodeString>) -> Status {
    let text = u16::from_bytes(guid.to_string().as_bytes());
    let size = size_of_val(&*text) + size_of::<u16>();
    let Some(buffer) = buffers::allocate(buffers::STRING, size) else { return Status::NO_MEMORY };
    let maximum_length = u16::try_from(size).unwrap_or(u16::MAX);
    let mut string = Counted { length: 0, maximum_length, buffer: buffer.cast() };
    string.write(0, &text);
    to.put(string);
    Status::SUCCESS
}

fn parse(text: &[u16], to: Out<Guid>) -> Status {
    let text: Vec<u8> = text.iter().map(|unit| ascii(*unit)).collect();
    let framed = text.len() == LENGTH
        && (text[0], text[LENGTH - 1]) == (b'{', b'}')
        && DASHES.iter().all(|at| text[*at] == b'-');
    if !framed {
        return Status::INVALID_PARAMETER;
    }
    let digits = |from: usize, to: usize| -> Option<u32> {
        let digits = &text[from..to];
        let value = |value: u32, digit: &u8| Some(value << 4 | char::from(*digit).to_digit(16)?);
        digits.iter().try_fold(0, value)
    };
    let guid = || {
        let mut rest = [0; 8];
        for (byte, at) in rest.iter_mut().zip([20, 22, 25, 27, 29, 31, 33, 35]) {
            *byte = u8::try_from(digits(at, at + 2)?).ok()?;
        }
        Some(Guid {
            first: digits(1, 9)?,
            second: u16::try_from(digits(10, 14)?).ok()?,
            third: u16::try_from(digits(15, 19)?).ok()?,
            rest,
        })
    };
    match guid() {
        Some(guid) => {
            to.put(guid);
            Status::SUCCESS
        }
        None => Status::INVALID_PARAMETER,
    }
}

/// `RPC_NT_UUID_LOCAL_ONLY`: the UUID is unique to this machine only.
const LOCAL_ONLY: Status = Status::from_raw(0x4002_0056);

/// What UUIDs of version 1 need: the last time stamp, and a sequence number and a node, both random.
struct Source {
    last: u64,
    sequence: [u8; 2],
    node: [u8; 6],
}

/// Creates a UUID from the time and a node (version 1). The documentation's statuses are about the network adapter
/// that gives the node. A driver here has none, so the node is random, which its lowest bit says, and the result is the
/// documented one for this case.
fn create(to: Out<Guid>) -> Status {
    /// From the calendar's reform in 1582 to 1970, in units of 100 ns.
    const TO_1970: u64 = 0x01b2_1dd2_1381_4000;
    static SOURCE: Mutex<Option<Source>> = Mutex::new(None);
    let mut source = SOURCE.lock();
    if source.is_none() {
        *source = Source::new();
    }
    let Some(source) = source.as_mut() else { return Status::RETRY };
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = TO_1970.wrapping_add(u64::try_from(since_1970.as_nanos() / 100).unwrap_or(0));
    // Two UUIDs within one unit, or after the clock was set back, have different stamps.
    source.last = now.max(source.last.wrapping_add(1));
    let [a, b, c, d, e, f, g, h] = source.last.to_le_bytes();
    let ([high, low], [n0, n1, n2, n3, n4, n5]) = (source.sequence, source.node);
    to.put(Guid {
        first: u32::from_le_bytes([a, b, c, d]),
        second: u16::from_le_bytes([e, f]),
        third: u16::from_le_bytes([g, h]) & 0x0fff | 0x1000,
        rest: [high & 0x3f | 0x80, low, n0 | 1, n1, n2, n3, n4, n5],
    });
    LOCAL_ONLY
}

impl Source {
    fn new() -> Option<Self> {
        let mut bytes = [0; 8];
        // SAFETY: the array has that many bytes.
        let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        let [first, second, node @ ..] = bytes;
        (got == 8).then_some(Self { last: 0, sequence: [first, second], node })
    }
}
