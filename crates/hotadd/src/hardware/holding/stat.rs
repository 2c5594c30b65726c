//! [`Stat`]: the contents of `/proc/PID/stat` for a process or thread, and its parser.

use rustix::process::Pid;

/// The kernel has bound it to its processors and refuses to move it (`PF_NO_SETAFFINITY`).
const NO_SETAFFINITY: u32 = 0x0400_0000;

/// A process, or a thread by its own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hardware) struct Stat {
    pub(in crate::hardware) pid: Pid,
    /// `None` if the parent is outside of this process's pid namespace.
    pub(in crate::hardware) parent: Option<Pid>,
    /// It has ended and waits to be reaped. For a process this describes its first thread; other threads may
    /// still run.
    pub(in crate::hardware) ended: bool,
    /// The kernel refuses to set its mask.
    pub(in crate::hardware) immovable: bool,
    /// Its creation time, in ticks of 10 ms since boot; `None` if the line does not contain it.
    pub(in crate::hardware) born: Option<u64>,
}

impl Stat {
    /// Parses the form `PID (NAME) STATE PPID PGRP SESSION TTY TPGID FLAGS …`.
    ///
    /// The program chooses the name, which may contain parentheses, spaces, newlines and bytes that are not valid
    /// text. Only numbers follow it, so it ends at the last parenthesis.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|b| *b == b'(')?;
        let close = line.iter().rposition(|b| *b == b')')?;
        let pid: i32 = number(line.get(..open)?)?;
        let rest = str::from_utf8(line.get(close + 1..)?).ok()?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent: i32 = fields.next()?.parse().ok()?;
        let flags: u32 = fields.nth(4)?.parse().ok()?;
        Some(Self {
            pid: positive(pid)?,
            parent: positive(parent),
            ended: matches!(state, "Z" | "X" | "x"),
            immovable: flags & NO_SETAFFINITY != 0,
            born: fields.nth(12).and_then(|field| field.parse().ok()),
        })
    }
}

/// `None` for 0, which stands for a process outside of this pid namespace.
fn positive(pid: i32) -> Option<Pid> {
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

fn number(bytes: &[u8]) -> Option<i32> {
    str::from_utf8(bytes).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(raw: i32) -> Pid {
        Pid::from_raw(raw).unwrap()
    }

    fn line(name: &[u8]) -> Vec<u8> {
        [b"42 (", name, b") S 7 42 42 0 -1 4194560 120 0 0 0 0 0 0 0 20 0 1 0 100 0\n"].concat()
    }

    #[test]
    fn a_hostile_process_name_does_not_change_the_parsed_state_or_parent() {
        let names: [&[u8]; 8] = [
            b"sh",
            b"",
            b"a) R 1 (b",
            b"((",
            b"))",
            b") Z 1 1 1 1 1 1",
            b"new\nline )\n",
            b"\xff\xfe) X",
        ];
        for name in names {
            let stat = Stat::parse(&line(name)).unwrap();
            let want = Stat {
                pid: pid(42),
                parent: Some(pid(7)),
                ended: false,
                immovable: false,
                born: Some(100),
            };
            assert_eq!(stat, want, "for {}", name.escape_ascii());
        }
    }

    #[test]
    fn ended_and_immovable_threads_are_recognised() {
        let zombie = Stat::parse(b"9 (z) Z 0 9 9 0 -1 0 0").unwrap();
        assert!(zombie.ended && zombie.parent.is_none() && !zombie.immovable);
        assert!(Stat::parse(b"9 (iou-wrk-9) S 1 9 9 0 -1 67108864 0").unwrap().immovable);
    }

    #[test]
    fn a_truncated_stat_line_is_refused() {
        let whole = line(b"a) R 1 (b");
        let flags_end = whole.windows(7).position(|w| w == b"4194560").unwrap();
        for length in 0..flags_end {
            assert_eq!(Stat::parse(&whole[..length]), None, "cut at {length}");
        }
        for junk in
            [&b")("[..], b")", b"(", b"-3 (x) S 1 1 1 1 1 1", b"0 (x) S 1 1 1 1 1 1", b"1 (x) S"]
        {
            assert_eq!(Stat::parse(junk), None, "for {}", junk.escape_ascii());
        }
    }
}
