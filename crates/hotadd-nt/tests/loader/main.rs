//! What the loader of `.sys` files promises: it describes files, it loads drivers as the format requires, and
//! no file makes it do harm.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod corpus;
mod files;
mod memory;
mod mutations;

/// A driver of `tests/fixtures`.
pub(crate) const CRASH: &[u8] = include_bytes!("../fixtures/crash.sys");

/// Where the header behind the DOS header begins in it.
pub(crate) fn header() -> usize {
    u32::from_le_bytes(CRASH[0x3c..0x40].try_into().unwrap()) as usize
}

/// Where its optional header begins.
pub(crate) fn optional() -> usize {
    header() + 24
}

/// Where the header of its section of that number begins.
pub(crate) fn section(number: usize) -> usize {
    optional() + 240 + 40 * number
}

/// Which of its bytes are that section's.
pub(crate) fn stored(number: usize) -> std::ops::Range<usize> {
    let at =
        |place: usize| u32::from_le_bytes(CRASH[place..place + 4].try_into().unwrap()) as usize;
    let (size, start) = (at(section(number) + 16), at(section(number) + 20));
    start..start + size
}

/// The fixture with other bytes there.
pub(crate) fn patched(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut file = CRASH.to_vec();
    file[at..at + bytes.len()].copy_from_slice(bytes);
    file
}
