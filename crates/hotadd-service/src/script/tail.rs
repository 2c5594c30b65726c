//! [`Tail`]: the end of a process's output, of any length, and the one line of it that is shown.

use std::io::{ErrorKind, Read};

use hotadd::text::cut;

/// The number of bytes that are kept.
const KEPT: usize = 4096;

/// The number of reads in a row before the caller can check the time. A pipe holds as much as 16 of them.
const READS: usize = 32;

/// The number of characters that are shown.
const SHOWN: usize = 200;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail(Vec<u8>);

impl Tail {
    /// Reads what is available from a non-blocking stream, up to a bound. Returns false at its end.
    pub(crate) fn take(&mut self, stream: &mut impl Read) -> bool {
        let mut buffer = [0; KEPT];
        for _ in 0..READS {
            match stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.push(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        self.0.drain(..self.0.len().saturating_sub(KEPT));
    }

    /// The last line that is not empty, safe to display: without control characters and not too long.
    pub(crate) fn last_line(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.split(['\n', '\r']).map(str::trim).rfind(|line| !line.is_empty())?;
        let mut shown: String = cut(line, SHOWN);
        if line.chars().nth(SHOWN).is_some() {
            shown.push('…');
        }
        Some(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(text: &[u8]) -> Option<String> {
        let mut tail = Tail::default();
        assert!(!tail.take(&mut &text[..]), "it ends");
        tail.last_line()
    }

    #[test]
    fn the_last_line_that_is_not_blank_is_used() {
        assert_eq!(last_line(b"one\ntwo\n \n\n").unwrap(), "two");
        assert_eq!(last_line(b"progress 1%\rprogress 2%\r\n").unwrap(), "progress 2%");
        assert_eq!(last_line(b"\n \t\n"), None);
        assert_eq!(last_line(b""), None);
    }

    #[test]
    fn the_line_is_cleaned_and_cut() {
        assert_eq!(last_line(b"\x1b[31mred\x07\x00").unwrap(), "\u{fffd}[31mred\u{fffd}\u{fffd}");
        assert_eq!(last_line("a\u{202e}b".as_bytes()).unwrap(), "a\u{fffd}b");
        assert_eq!(last_line(b"\xff\xfe").unwrap(), "\u{fffd}\u{fffd}");
        let long = last_line("ä".repeat(5000).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with('…'));
    }

    #[test]
    fn only_the_end_of_the_output_is_kept() {
        let mut tail = Tail::default();
        let text = [vec![b'x'; 10_000], b"\nthe end\n".to_vec()].concat();
        assert!(!tail.take(&mut &text[..]));
        assert_eq!(tail.0.len(), KEPT);
        assert_eq!(tail.last_line().unwrap(), "the end");
    }

    #[test]
    fn an_endless_flood_is_read_in_parts() {
        assert!(Tail::default().take(&mut std::io::repeat(b'x')));
    }
}
