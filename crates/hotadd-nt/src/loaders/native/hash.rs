//! The tables by which the linker finds a symbol by its name. They must not lead beyond the known symbols: a further
//! symbol would be unchecked, and the linker runs the code that some kinds of symbols point to.

use super::dynamic::Layout;

/// The size of a number in these tables.
const NUMBER: usize = 4;

/// How many numbers precede the rest: in GNU's table, and in the older one.
const GNU: usize = 4;
const SYSV: usize = 2;

/// Whether GNU's table at this address leads only to the first `count` symbols.
pub(super) fn gnu(layout: &Layout<'_>, at: u64, count: usize) -> Option<bool> {
    let head = layout.numbers(at, GNU)?;
    let (buckets, first, bloom) = (head(0)?, head(1)?, head(2)?);
    let skipped = GNU.checked_add(bloom.checked_mul(2)?)?;
    let chain = count.checked_sub(first)?;
    let all = layout.numbers(at, skipped.checked_add(buckets)?.checked_add(chain)?)?;
    let starts = (0..buckets).all(|nth| all(skipped + nth).is_some_and(|symbol| symbol < count));
    // An odd number ends a chain.
    let ends = chain == 0 || all(skipped + buckets + chain - 1)? % 2 == 1;
    // Without symbols to chain, all buckets must be empty.
    let none = (0..buckets).all(|nth| all(skipped + nth) == Some(0));
    Some(starts && ends && (chain > 0 || none))
}

/// The same for the older table.
pub(super) fn sysv(layout: &Layout<'_>, at: u64, count: usize) -> Option<bool> {
    let head = layout.numbers(at, SYSV)?;
    let (buckets, chains) = (head(0)?, head(1)?);
    let size = buckets.checked_add(chains)?;
    let all = layout.numbers(at, SYSV.checked_add(size)?)?;
    let known = (0..size).all(|nth| all(SYSV + nth).is_some_and(|symbol| symbol < count));
    Some(known && chains == count)
}

impl Layout<'_> {
    /// This many numbers at this address, if nothing can change them.
    fn numbers(&self, at: u64, count: usize) -> Option<impl Fn(usize) -> Option<usize>> {
        let size = count.checked_mul(NUMBER)?;
        let start = self.constant(at, size as u64)?;
        let bytes = self.bytes.get(start..start.checked_add(size)?)?;
        Some(move |nth: usize| {
            let at = nth.checked_mul(NUMBER)?;
            let number = bytes.get(at..at + NUMBER)?.try_into().ok()?;
            usize::try_from(u32::from_le_bytes(number)).ok()
        })
    }
}
