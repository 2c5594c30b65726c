//! Where everything is on a board of version 1. All numbers have the machine's byte order, and offsets are in bytes. `docs/page.md`
//! repeats these for agents in other languages.
//!
//! Words that different sides write are at least 128 bytes apart, so that they are in different cache lines.

/// The first eight bytes: `hotaddb` and a zero.
pub(super) const MAGIC: [u8; 8] = *b"hotaddb\0";
/// The version of the layout. An agent reads no board of another version.
pub(super) const VERSION: u32 = 1;
/// How many calls the ring has.
pub(super) const CALLS: u32 = 32;

/// The version, u32.
pub(super) const VERSION_AT: usize = 8;
/// How many calls were posted, u32. Written by the partition.
pub(super) const POSTED_AT: usize = 128;
/// The place of the call on whose answer the partition sleeps, plus one; else 0. u32, written by the partition.
pub(super) const WAITING_AT: usize = 256;
/// The processor on which the agent watches without sleeping, plus one; else 0. u32, written by the agent.
pub(super) const AWAKE_AT: usize = 384;
/// The answer for each place, u32. Written by the agent; the partition changes the highest bit.
pub(super) const ANSWERS_AT: usize = 512;
/// The calls, [`CALL`] bytes each. Written by the partition.
pub(super) const CALLS_AT: usize = 2048;
/// The length of the file.
pub(super) const LENGTH: usize = CALLS_AT + CALLS as usize * CALL;

/// The length of a call.
pub(super) const CALL: usize = 64;
/// The serial, u32.
pub(super) const SERIAL: usize = 0;
/// The number in the agent's object path, u32.
pub(super) const AGENT: usize = 4;
/// The party, u64.
pub(super) const PARTY: usize = 8;
/// The state, u32: its position in `State::ALL`.
pub(super) const STATE: usize = 16;
/// The status, u32.
pub(super) const STATUS: usize = 20;
/// The errno, u32; 0 for none.
pub(super) const ERRNO: usize = 24;
/// The flags, u32.
pub(super) const FLAGS: usize = 28;
/// The processor's index, u32.
pub(super) const INDEX: usize = 32;
/// The processor's hardware id, u32.
pub(super) const ID: usize = 36;
/// The epoch, u64.
pub(super) const EPOCH: usize = 40;
/// How many bytes were sent on the connection's socket before, u64.
pub(super) const AFTER: usize = 48;

/// A flag: the processor left without a remove.
pub(super) const SURPRISE: u32 = 1;
/// A flag: part of a replay.
pub(super) const REPLAY: u32 = 2;
/// A flag: the only call of its level.
pub(super) const ALONE: u32 = 4;
/// A flag: skipped if the chained call before was refused.
pub(super) const CHAINED: u32 = 8;

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_documented_layout_is_the_real_one() {
        let text = include_str!("../../../../docs/page.md");
        let (_, text) = text.split_once("# The board").expect("docs/page.md has the second part");
        let rows = text.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = |cell: Option<&str>| cell?.parse::<usize>().ok();
            Some((number(cells.next())?, number(cells.next())?, cells.next()?))
        });
        let rows: Vec<_> = rows.collect();
        let words = [
            (0, 8, "magic"),
            (VERSION_AT, 4, "version"),
            (POSTED_AT, 4, "posted"),
            (WAITING_AT, 4, "waiting"),
            (AWAKE_AT, 4, "awake"),
            (ANSWERS_AT, 4 * CALLS as usize, "answers"),
            (CALLS_AT, CALL * CALLS as usize, "calls"),
        ];
        let call = [
            (SERIAL, 4, "serial"),
            (AGENT, 4, "agent"),
            (PARTY, 8, "party"),
            (STATE, 4, "state"),
            (STATUS, 4, "status"),
            (ERRNO, 4, "errno"),
            (FLAGS, 4, "flags"),
            (INDEX, 4, "index"),
            (ID, 4, "id"),
            (EPOCH, 8, "call epoch"),
            (AFTER, 8, "after"),
        ];
        let expected: Vec<_> = words.into_iter().chain(call).collect();
        assert_eq!(rows, expected, "docs/page.md: the tables of the board");
        assert_eq!(LENGTH, 4096);
        assert!(text.contains("4,096 bytes"), "docs/page.md: the length");
        for (flag, name) in
            [(SURPRISE, "surprise"), (REPLAY, "replay"), (ALONE, "alone"), (CHAINED, "chained")]
        {
            assert!(text.contains(&format!("{flag}: {name}")), "docs/page.md: the flag {name}");
        }
    }
}
