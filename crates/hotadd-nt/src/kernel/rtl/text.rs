//! [`Unit`]: the elements of text, bytes or 16-bit units, and the conversion between them.
//!
//! The code page of this system is UTF-8, which Windows supports as a setting.

/// An element of text.
pub(crate) trait Unit: Copy + Default + PartialEq + Into<u32> + 'static {
    /// Whether it is a 16-bit unit.
    const WIDE: bool;

    fn ascii(byte: u8) -> Self;

    /// The unit in the lower part of an argument.
    fn of(argument: u64) -> Self;

    fn from_bytes(bytes: &[u8]) -> Vec<Self>;

    fn from_wide(units: &[u16]) -> Vec<Self>;
}

impl Unit for u8 {
    const WIDE: bool = false;

    fn ascii(byte: u8) -> Self {
        byte
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower part is wanted")]
    fn of(argument: u64) -> Self {
        argument as Self
    }

    fn from_bytes(bytes: &[u8]) -> Vec<Self> {
        bytes.to_vec()
    }

    fn from_wide(units: &[u16]) -> Vec<Self> {
        String::from_utf16_lossy(units).into_bytes()
    }
}

impl Unit for u16 {
    const WIDE: bool = true;

    fn ascii(byte: u8) -> Self {
        Self::from(byte)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the lower part is wanted")]
    fn of(argument: u64) -> Self {
        argument as Self
    }

    fn from_bytes(bytes: &[u8]) -> Vec<Self> {
        String::from_utf8_lossy(bytes).encode_utf16().collect()
    }

    fn from_wide(units: &[u16]) -> Vec<Self> {
        units.to_vec()
    }
}

/// An ASCII character, or 0 for any other.
pub(crate) fn ascii(unit: impl Unit) -> u8 {
    u8::try_from(unit.into()).ok().filter(u8::is_ascii).unwrap_or(0)
}
