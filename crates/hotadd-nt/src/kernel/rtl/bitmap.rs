//! Bitmaps, in 32-bit words of the driver's.

use crate::ground::export::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::Boolean;

/// `RTL_BITMAP`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bitmap {
    /// In bits.
    size: u32,
    words: Out<u32>,
}

const _: () = assert!(size_of::<Bitmap>() == 16);

/// `RTL_BITMAP_RUN`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    start: u32,
    length: u32,
}

/// No place.
const NONE: u32 = 0xffff_ffff;

nt! {
    /// Lets words of the driver's be a bitmap, as they are.
    fn RtlInitializeBitMap(map: Out<Bitmap>, words: Out<u32>, size: u32) { map.put(Bitmap { size, words }) }

    /// Clears all bits.
    fn RtlClearAllBits(map: In<Bitmap>) { map.get().set(0, map.get().size, false) }

    /// Sets all bits.
    fn RtlSetAllBits(map: In<Bitmap>) { map.get().set(0, map.get().size, true) }

    /// Clears a bit.
    fn RtlClearBit(map: In<Bitmap>, bit: u32) { map.get().set(bit, 1, false) }

    /// Sets a bit.
    fn RtlSetBit(map: In<Bitmap>, bit: u32) { map.get().set(bit, 1, true) }

    /// Clears a range.
    fn RtlClearBits(map: In<Bitmap>, start: u32, length: u32) { map.get().set(start, length, false) }

    /// Sets a range.
    fn RtlSetBits(map: In<Bitmap>, start: u32, length: u32) { map.get().set(start, length, true) }

    /// Whether a bit is set.
    fn RtlTestBit(map: In<Bitmap>, bit: u32) -> Boolean { u8::from(map.get().is_set(bit)) }

    /// Whether a whole range is clear.
    fn RtlAreBitsClear(map: In<Bitmap>, start: u32, length: u32) -> Boolean {
        u8::from(map.get().are(start, length, false))
    }

    /// Whether a whole range is set.
    fn RtlAreBitsSet(map: In<Bitmap>, start: u32, length: u32) -> Boolean {
        u8::from(map.get().are(start, length, true))
    }

    /// How many bits are set.
    fn RtlNumberOfSetBits(map: In<Bitmap>) -> u32 { map.get().count(0, map.get().size) }

    /// How many bits are clear.
    fn RtlNumberOfClearBits(map: In<Bitmap>) -> u32 { map.get().size - map.get().count(0, map.get().size) }

    /// How many bits of a range are set.
    fn RtlNumberOfSetBitsInRange(map: In<Bitmap>, start: u32, length: u32) -> u32 {
        map.get().count(start, length)
    }

    /// How many bits of a range are clear.
    fn RtlNumberOfClearBitsInRange(map: In<Bitmap>, start: u32, length: u32) -> u32 {
        length - map.get().count(start, length)
    }

    /// Where so many bits are clear in a row, looking from the hint on, and then from the beginning.
    fn RtlFindClearBits(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find(length, hint, false)
    }

    /// Where so many bits are set in a row.
    fn RtlFindSetBits(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find(length, hint, true)
    }

    /// Finds so many clear bits in a row, and sets them.
    fn RtlFindClearBitsAndSet(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find_and_change(length, hint, false)
    }

    /// Finds so many set bits in a row, and clears them.
    fn RtlFindSetBitsAndClear(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find_and_change(length, hint, true)
    }

    /// The first clear run: how long, and where.
    fn RtlFindFirstRunClear(map: In<Bitmap>, start: Out<u32>) -> u32 { map.get().next_run(0, start) }

    /// The next clear run from a place on: how long, and where.
    fn RtlFindNextForwardRunClear(map: In<Bitmap>, from: u32, start: Out<u32>) -> u32 {
        map.get().next_run(from, start)
    }

    /// The longest clear run: how long, and where.
    fn RtlFindLongestRunClear(map: In<Bitmap>, start: Out<u32>) -> u32 { map.get().longest(start) }

    /// Clear runs, the first ones or the longest ones. Returns how many.
    fn RtlFindClearRuns(map: In<Bitmap>, runs: Out<Run>, room: u32, longest: Boolean) -> u32 {
        map.get().find_runs(runs, room, longest != 0)
    }
}

impl Bitmap {
    fn is_set(self, bit: u32) -> bool {
        self.words.readable().at(bit as usize / 32) & 1 << (bit % 32) != 0
    }

    /// Changes a range, as far as there is one.
    fn set(self, start: u32, length: u32, value: bool) {
        for bit in start..start.saturating_add(length).min(self.size) {
            let word = self.words.skip(bit as usize / 32);
            let mask = 1 << (bit % 32);
            word.put(if value { word.get() | mask } else { word.get() & !mask });
        }
    }

    /// Whether the whole range is so. Not if it is empty, or goes beyond the end.
    fn are(self, start: u32, length: u32, value: bool) -> bool {
        let Some(end) = start.checked_add(length).filter(|end| *end <= self.size) else {
            return false;
        };
        length != 0 && (start..end).all(|bit| self.is_set(bit) == value)
    }

    fn count(self, start: u32, length: u32) -> u32 {
        let set =
            (start..start.saturating_add(length).min(self.size)).filter(|bit| self.is_set(*bit));
        u32::try_from(set.count()).unwrap_or(u32::MAX)
    }

    /// The runs that are so, from a bit on.
    fn runs(self, from: u32, value: bool) -> impl Iterator<Item = Run> {
        let mut bit = from;
        std::iter::from_fn(move || {
            let start = (bit..self.size).find(|bit| self.is_set(*bit) == value)?;
            bit = (start..self.size).find(|bit| self.is_set(*bit) != value).unwrap_or(self.size);
            Some(Run { start, length: bit - start })
        })
    }

    fn find(self, length: u32, hint: u32, value: bool) -> u32 {
        // A hint beyond the end is none.
        let hint = if hint < self.size { hint } else { 0 };
        if length == 0 {
            return hint;
        }
        let fits = |run: &Run| run.length >= length;
        let found = self.runs(hint, value).find(fits).or_else(|| self.runs(0, value).find(fits));
        found.map_or(NONE, |run| run.start)
    }

    fn find_and_change(self, length: u32, hint: u32, value: bool) -> u32 {
        let found = self.find(length, hint, value);
        if found != NONE {
            self.set(found, length, !value);
        }
        found
    }

    fn next_run(self, from: u32, start: Out<u32>) -> u32 {
        let run = self.runs(from, false).next().unwrap_or(Run { start: from, length: 0 });
        start.put(run.start);
        run.length
    }

    fn longest(self, start: Out<u32>) -> u32 {
        // The first of several.
        let longer = |best: Run, run: Run| if run.length > best.length { run } else { best };
        let run = self.runs(0, false).fold(Run { start: 0, length: 0 }, longer);
        start.put(run.start);
        run.length
    }

    fn find_runs(self, to: Out<Run>, room: u32, longest: bool) -> u32 {
        let mut runs: Vec<Run> = self.runs(0, false).collect();
        if longest {
            runs.sort_by_key(|run| std::cmp::Reverse(run.length));
        }
        runs.truncate(room as usize);
        to.put_all(&runs);
        u32::try_from(runs.len()).unwrap_or(u32::MAX)
    }
}

/// Bits of a number.
pub(super) mod number {
    use crate::ground::export::nt;

    nt! {
        /// How many bits are set.
        fn RtlNumberOfSetBitsUlongPtr(number: u64) -> u32 { number.count_ones() }

        /// The highest bit that is set, -1 if none is.
        fn RtlFindMostSignificantBit(number: u64) -> i8 { place(number.checked_ilog2()) }

        /// The lowest bit that is set, -1 if none is.
        fn RtlFindLeastSignificantBit(number: u64) -> i8 {
            place((number != 0).then(|| number.trailing_zeros()))
        }
    }

    fn place(bit: Option<u32>) -> i8 {
        bit.and_then(|bit| i8::try_from(bit).ok()).unwrap_or(-1)
    }
}
