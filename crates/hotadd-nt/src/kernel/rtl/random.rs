//! Pseudo-random numbers. The same seed yields the same numbers.

use crate::ground::declare::nt;
use crate::ground::foreign::Out;

/// `MAXLONG`: the results of the `Rtl` functions are below it.
const MOST: u32 = 0x7fff_ffff;

nt! {
    /// The next number, and the next seed.
    fn RtlRandomEx(seed: Out<u32>) -> u32 { next(seed) }

    /// The next number, and the next seed.
    fn RtlRandom(seed: Out<u32>) -> u32 { next(seed) }

    /// The next number, which is also the next seed: the documented generator, seed * 0x7FFFFFED + 0x7FFFFFC3 modulo
    /// 0x7FFFFFFF.
    fn RtlUniform(seed: Out<u32>) -> u32 { uniform(seed) }
}

fn uniform(seed: Out<u32>) -> u32 {
    let product = u64::from(seed.get()) * 0x7fff_ffed + 0x7fff_ffc3;
    #[expect(clippy::cast_possible_truncation, reason = "below 2^31")]
    let value = (product % u64::from(MOST)) as u32;
    seed.put(value);
    value
}

/// A uniform number. Its bits are mixed, so that consecutive numbers differ widely.
fn next(seed: Out<u32>) -> u32 {
    let mut value = uniform(seed);
    value = (value ^ value >> 15).wrapping_mul(0x2c1b_3c6d);
    value = (value ^ value >> 12).wrapping_mul(0x297a_2d39);
    (value ^ value >> 15) % MOST
}

/// The functions whose names this system's C library has too.
pub(super) mod plain {
    use std::cell::Cell;
    use std::ffi::c_int;

    use crate::ground::declare::crt;

    thread_local! {
        static SEED: Cell<u32> = const { Cell::new(1) };
    }

    crt! {
        /// The next number, up to 32,767.
        fn rand() -> c_int { next() }

        /// Sets the seed of this thread.
        fn srand(seed: u32) { SEED.set(seed) }
    }

    fn next() -> c_int {
        let seed = SEED.get().wrapping_mul(214_013).wrapping_add(2_531_011);
        SEED.set(seed);
        (seed >> 16 & 0x7fff).cast_signed()
    }
}
