//! The client side of the handshake that begins a connection: D-Bus's SASL profile with EXTERNAL only, because the kernel
//! has already authenticated this process.

/// The maximum length of a line, in bytes.
pub const LONGEST: usize = 256;

/// The last line.
pub const BEGIN: &[u8] = b"BEGIN\r\n";

/// The first line, which introduces this process as user `uid`. The answer is one line.
#[must_use]
pub fn introduction(uid: u32) -> String {
    format!("\0AUTH EXTERNAL {}\r\n", hex(uid))
}

/// Whether the answer, without its end, permits messages after [`BEGIN`].
#[must_use]
pub fn is_welcome(answer: &[u8]) -> bool {
    answer.starts_with(b"OK ")
}

/// The form of a user id in the handshake: the hexadecimal codes of its decimal digits.
#[must_use]
pub fn hex(uid: u32) -> String {
    uid.to_string().bytes().fold(String::new(), |hex, digit| format!("{hex}{digit:02x}"))
}
