//! The page at a fixed address in which a Windows kernel shares times and facts with all processes. A Linux program
//! cannot map memory there, so loads from known offsets are emulated one by one.

use super::decode::Load;
use crate::ground::context::Context;

/// The page's address.
const PAGE: usize = 0xFFFF_F780_0000_0000;

/// The time between 1601, the Windows epoch, and 1970, the Linux epoch, in units of 100 ns.
const EPOCHS: u64 = 116_444_736_000_000_000;

/// The length of a tick in units of 100 ns: 1/64 s.
const TICK: u64 = 156_250;

/// The offset of an address in the page.
pub(super) fn offset(address: usize) -> Option<usize> {
    address.checked_sub(PAGE).filter(|offset| *offset < 0x1000)
}

/// Emulates a load from that offset. Returns `false` if no content is known there.
pub(super) fn load(load: Load, offset: usize, context: &mut Context) -> bool {
    let Some(value) = value(offset, load.from) else { return false };
    let register = &mut context.general[load.register];
    *register = match load.to {
        2 => *register & !0xffff | value,
        _ => value,
    };
    true
}

/// The value of this many bytes at that offset.
fn value(offset: usize, count: usize) -> Option<u64> {
    // A time is stored as its lower half, its upper half, and the upper half again.
    let time = |time: u64| u128::from(time) | u128::from(time >> 32) << 64;
    let (start, size, content) = match offset {
        // A tick's length in milliseconds, as a fraction of 2^24.
        0x04..0x08 => (0x04, 4, 0x0fa0_0000),
        0x08..0x14 => (0x08, 12, time(clock(libc::CLOCK_MONOTONIC))),
        0x14..0x20 => (0x14, 12, time(clock(libc::CLOCK_REALTIME) + EPOCHS)),
        // The zone is UTC.
        0x20..0x2c => (0x20, 12, 0),
        0x320..0x32c => (0x320, 12, time(clock(libc::CLOCK_MONOTONIC) / TICK)),
        _ => return None,
    };
    if offset + count > start + size {
        return None;
    }
    let shifted = (content >> (8 * (offset - start))) as u64;
    Some(if count >= 8 { shifted } else { shifted & ((1 << (8 * count)) - 1) })
}

/// A clock's time in units of 100 ns. May be called from a signal handler.
fn clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid memory for the result. The call fails only for unknown clocks.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.cast_unsigned() * 10_000_000 + time.tv_nsec.cast_unsigned() / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_known_fields_are_read_and_unknown_fields_are_refused() {
        let now = value(0x14, 8).expect("the system time");
        let high = value(0x18, 4).expect("its upper half");
        assert_eq!(now >> 32, high, "an upper half changes every seven minutes");
        assert_eq!(
            value(0x1c, 4),
            Some(high),
            "the upper half is stored twice, for readers without a lock"
        );
        assert_eq!(value(0x06, 1), Some(0xa0), "the third byte of 0x0fa00000");
        assert_eq!((value(0x264, 4), value(0x07, 4)), (None, None));
    }
}
