//! Makes texts from outside safe to display.

use std::time::Duration;

use hotadd::text::clean_char;

/// The longest reason that is passed on, in bytes.
const LONGEST_REASON: usize = 512;

/// A text of an untrusted peer, made safe for a terminal and a log.
pub(crate) fn presentable(text: &str) -> String {
    let mut fit = String::with_capacity(text.len().min(LONGEST_REASON));
    for char in text.trim().chars() {
        if fit.len() + char.len_utf8() > LONGEST_REASON {
            fit.push('…');
            break;
        }
        fit.push(clean_char(char));
    }
    fit
}

/// A time for display: `5 s`, `300 ms`.
pub(crate) fn span(time: Duration) -> String {
    match time.subsec_millis() {
        0 if time.as_secs() > 0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_of_a_peer_are_replaced_and_its_text_is_bounded() {
        assert_eq!(presentable(" a\n\u{1b}[2J\0b "), "a \u{fffd}[2J\u{fffd}b");
        for turns in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}'] {
            assert_eq!(presentable(&format!("a{turns}b")), "a\u{fffd}b");
        }
        let long = presentable(&"\u{202e}".repeat(LONGEST_REASON));
        assert!(long.len() <= LONGEST_REASON + '…'.len_utf8(), "{} bytes", long.len());
    }
}
