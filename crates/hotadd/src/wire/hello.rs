//! The handshake that begins a connection, for whoever connects: D-Bus's SASL profile, EXTERNAL only, as the kernel has said who we are
//! already.

/// The longest line that makes sense, in bytes.
pub const LONGEST: usize = 256;

/// The last line.
pub const BEGIN: &[u8] = b"BEGIN\r\n";

/// The first line, which introduces this process as `uid`. It is answered by one line.
#[must_use]
pub fn introduction(uid: u32) -> String {
    format!("\0AUTH EXTERNAL {}\r\n", hex(uid))
}

/// Whether the answer, without its end, says that messages may be sent behind [`BEGIN`].
#[must_use]
pub fn is_welcome(answer: &[u8]) -> bool {
    answer.starts_with(b"OK ")
}

/// A user as it is named there: the hexadecimal digits of its decimal digits.
#[must_use]
pub fn hex(uid: u32) -> String {
    uid.to_string().bytes().fold(String::new(), |hex, digit| format!("{hex}{digit:02x}"))
}
