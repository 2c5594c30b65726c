//! Where everything is in a page of version 1. All numbers have the machine's byte order, and offsets are in bytes. `docs/page.md`
//! repeats these for readers in other languages; a test below compares the two.

use hotadd_core::{MAX_GROUPS, MAX_PROCESSORS};

/// The first eight bytes: `hotadd` and two zeros.
pub(crate) const MAGIC: [u8; 8] = *b"hotadd\0\0";
/// The version of the layout. A reader reads no page of another version.
pub(crate) const VERSION: u32 = 1;

/// The version, u32.
pub(crate) const VERSION_AT: usize = 8;
/// The most processors that the partition ever has, u32.
pub(crate) const MAXIMUM_AT: usize = 12;
/// Epoch and count, u64: the epoch is in the upper 48 bits, the number of active processors in the lower 16.
pub(crate) const SUMMARY_AT: usize = 16;
/// The word to wait on, u32: the lower 31 bits of the epoch, times two; plus one when the partition has ended.
pub(crate) const WAIT_AT: usize = 24;

/// The sequence, u32: odd while what follows is being changed.
pub(crate) const SEQUENCE_AT: usize = 64;
/// How many processors were ever active, u32. Their indexes are the numbers below it.
pub(crate) const KNOWN_AT: usize = 72;
/// How many processors are being added, u32.
pub(crate) const PROPOSED_AT: usize = 76;
/// The active processors, a u64 for each group: bit n is number n of the group.
pub(crate) const ACTIVE_AT: usize = 128;
/// The active processors to which every party agreed, in the same form (Q3).
pub(crate) const AGREED_AT: usize = ACTIVE_AT + MASK;
/// The hardware id of each index, u32. Those below the number of known processors never change.
pub(crate) const IDS_AT: usize = AGREED_AT + MASK;
/// The processors that are being added: for each, its index and its hardware id, u32.
pub(crate) const PROPOSALS_AT: usize = IDS_AT + MAX_PROCESSORS as usize * 4;
/// The length of the file.
pub(crate) const LENGTH: usize = PROPOSALS_AT + MAX_PROCESSORS as usize * 8;

const MASK: usize = MAX_GROUPS as usize * 8;

/// The bits of the summary that are the count.
pub(crate) const COUNT_BITS: u32 = 16;

/// The word to wait on while this epoch is in force.
pub(crate) const fn waiting_for(epoch: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the upper bits are in the summary")]
    let low = epoch as u32;
    low << 1
}

/// Set in the word to wait on when the partition has ended.
pub(crate) const ENDED: u32 = 1;

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_documented_layout_is_the_real_one() {
        let text = include_str!("../../../docs/page.md");
        let (text, _) = text.split_once("# The board").expect("docs/page.md has a second part");
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = |cell: Option<&str>| cell?.parse::<usize>().ok();
            Some((number(cells.next())?, number(cells.next())?, cells.next()?.to_owned()))
        });
        let rows: Vec<_> = rows.collect();
        let named = |name: &str| rows.iter().find(|row| row.2 == name).map(|row| row.0);
        for (name, at) in [
            ("magic", 0),
            ("version", VERSION_AT),
            ("maximum", MAXIMUM_AT),
            ("summary", SUMMARY_AT),
            ("wait", WAIT_AT),
            ("sequence", SEQUENCE_AT),
            ("known", KNOWN_AT),
            ("proposed", PROPOSED_AT),
            ("active", ACTIVE_AT),
            ("agreed", AGREED_AT),
            ("ids", IDS_AT),
            ("proposals", PROPOSALS_AT),
        ] {
            assert_eq!(named(name), Some(at), "docs/page.md: {name}");
        }
        let end = rows.iter().map(|(at, length, _)| at + length).max();
        assert_eq!(end, Some(LENGTH), "docs/page.md: the last field ends the file");
        assert!(
            text.contains(&format!("{},{} bytes", LENGTH / 1000, LENGTH % 1000)),
            "docs/page.md: the length"
        );
    }
}
