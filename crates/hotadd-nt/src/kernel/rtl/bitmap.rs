//! Bitmaps, in 32-bit words of the driver.

use std::ops::Range;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::types::Boolean;

/// `RTL_BITMAP`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bitmap {
    /// The size in bits.
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

/// The result if nothing is found.
const NONE: u32 = 0xffff_ffff;

nt! {
    /// Makes words of the driver a bitmap, with their present content.
    fn RtlInitializeBitMap(map: Out<Bitmap>, words: Out<u32>, size: u32) { map.put(Bitmap { size, words }) }

    /// Clears all bits.
    fn RtlClearAllBits(map: In<Bitmap>) { map.get().set(0, map.get().size, false) }

    /// Sets all bits.
    fn RtlSetAllBits(map: In<Bitmap>) { map.get().set(0, map.get().size, true) }

    /// Clears a bit.
    fn RtlClearBit(map: In<Bitmap>, bit: u32) { map.get().change("RtlClearBit", bit, 1, false) }

    /// Sets a bit.
    fn RtlSetBit(map: In<Bitmap>, bit: u32) { map.get().change("RtlSetBit", bit, 1, true) }

    /// Clears a range.
    fn RtlClearBits(map: In<Bitmap>, start: u32, length: u32) { map.get().change("RtlClearBits", start, length, false) }

    /// Sets a range.
    fn RtlSetBits(map: In<Bitmap>, start: u32, length: u32) { map.get().change("RtlSetBits", start, length, true) }

    /// Whether a bit is set.
    fn RtlTestBit(map: In<Bitmap>, bit: u32) -> Boolean { u8::from(map.get().test(bit)) }

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
        map.get().count_clear(start, length)
    }

    /// The start of this many consecutive clear bits. The search begins at the hint, and then at the
    /// beginning.
    fn RtlFindClearBits(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find(length, hint, false)
    }

    /// The start of this many consecutive set bits.
    fn RtlFindSetBits(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find(length, hint, true)
    }

    /// Finds this many consecutive clear bits, and sets them.
    fn RtlFindClearBitsAndSet(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find_and_change(length, hint, false)
    }

    /// Finds this many consecutive set bits, and clears them.
    fn RtlFindSetBitsAndClear(map: In<Bitmap>, length: u32, hint: u32) -> u32 {
        map.get().find_and_change(length, hint, true)
    }

    /// The length and start of the first clear run.
    fn RtlFindFirstRunClear(map: In<Bitmap>, start: Out<u32>) -> u32 { map.get().next_run(0, start) }

    /// The length and start of the next clear run from a bit on.
    fn RtlFindNextForwardRunClear(map: In<Bitmap>, from: u32, start: Out<u32>) -> u32 {
        map.get().next_run(from, start)
    }

    /// The length and start of the last clear run that begins before or at a bit. The run ends there at the latest.
    fn RtlFindLastBackwardRunClear(map: In<Bitmap>, from: u32, start: Out<u32>) -> u32 {
        map.get().previous_run(from, start)
    }

    /// The length and start of the longest clear run.
    fn RtlFindLongestRunClear(map: In<Bitmap>, start: Out<u32>) -> u32 { map.get().longest(start) }

    /// The first or the longest clear runs. Returns their number.
    fn RtlFindClearRuns(map: In<Bitmap>, runs: Out<Run>, room: u32, longest: Boolean) -> u32 {
        map.get().find_runs(runs, room, longest != 0)
    }
}

impl Bitmap {
    fn is_set(self, bit: u32) -> bool {
        self.words.readable().at(bit as usize / 32) & 1 << (bit % 32) != 0
    }

    /// Whether a bit is set. A bit behind the end is not, and is not read.
    fn test(self, bit: u32) -> bool {
        self.expect("RtlTestBit", bit, 1);
        bit < self.size && self.is_set(bit)
    }

    /// The part of a range that exists.
    fn part(self, start: u32, length: u32) -> Range<u32> {
        start..start.saturating_add(length).min(self.size).max(start)
    }

    /// Reports a range that exceeds the bitmap, which the documentation forbids.
    fn expect(self, function: &str, start: u32, length: u32) {
        if start.checked_add(length).is_none_or(|end| end > self.size) {
            let size = self.size;
            caller::breach(&format!(
                "{function}: {length} bits from {start} exceed the bitmap of {size} bits"
            ));
        }
    }

    /// Changes a range, as a function of this name.
    fn change(self, function: &str, start: u32, length: u32, value: bool) {
        if length != 0 {
            self.expect(function, start, length);
            self.set(start, length, value);
        }
    }

    /// Changes the part of a range that exists.
    fn set(self, start: u32, length: u32, value: bool) {
        for bit in self.part(start, length) {
            let word = self.words.skip(bit as usize / 32);
            let mask = 1 << (bit % 32);
            word.put(if value { word.get() | mask } else { word.get() & !mask });
        }
    }

    /// Whether all bits of the range have this value. False if the range is empty or exceeds the
    /// bitmap.
    fn are(self, start: u32, length: u32, value: bool) -> bool {
        let Some(end) = start.checked_add(length).filter(|end| *end <= self.size) else {
            return false;
        };
        length != 0 && (start..end).all(|bit| self.is_set(bit) == value)
    }

    fn count(self, start: u32, length: u32) -> u32 {
        let set = self.part(start, length).filter(|bit| self.is_set(*bit));
        u32::try_from(set.count()).unwrap_or(u32::MAX)
    }

    fn count_clear(self, start: u32, length: u32) -> u32 {
        let part = self.part(start, length);
        part.end - part.start - self.count(start, length)
    }

    /// The runs of bits with this value, from a bit on.
    fn runs(self, from: u32, value: bool) -> impl Iterator<Item = Run> {
        let mut bit = from;
        std::iter::from_fn(move || {
            let start = (bit..self.size).find(|bit| self.is_set(*bit) == value)?;
            bit = (start..self.size).find(|bit| self.is_set(*bit) != value).unwrap_or(self.size);
            Some(Run { start, length: bit - start })
        })
    }

    fn find(self, length: u32, hint: u32, value: bool) -> u32 {
        // A hint beyond the end is ignored.
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

    fn previous_run(self, from: u32, start: Out<u32>) -> u32 {
        let last = from.min(self.size.wrapping_sub(1));
        let clear = |bit: &u32| !self.is_set(*bit);
        let end = (0..=last).rev().find(clear).filter(|_| self.size != 0);
        let Some(end) = end else {
            start.put(from);
            return 0;
        };
        let first = (0..end).rev().take_while(clear).last().unwrap_or(end);
        start.put(first);
        end - first + 1
    }

    fn longest(self, start: Out<u32>) -> u32 {
        // Of several longest runs, the first one is used.
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
    use crate::ground::declare::nt;

    nt! {
        /// How many bits are set.
        fn RtlNumberOfSetBitsUlongPtr(number: u64) -> u32 { number.count_ones() }

        /// The highest set bit, or -1.
        fn RtlFindMostSignificantBit(number: u64) -> i8 { place(number.checked_ilog2()) }

        /// The lowest set bit, or -1.
        fn RtlFindLeastSignificantBit(number: u64) -> i8 {
            place((number != 0).then(|| number.trailing_zeros()))
        }
    }

    fn place(bit: Option<u32>) -> i8 {
        bit.and_then(|bit| i8::try_from(bit).ok()).unwrap_or(-1)
    }
}
