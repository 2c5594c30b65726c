//! Makes foreign texts and names safe to show on a terminal and in a log.
//!
//! A party chooses its name and its reasons, and may be hostile. The same holds for a file, the name of a process and the output
//! of another program. All such text passes through [`clean`] before it is shown, and a name must satisfy [`is_name`]. The
//! project has no other rule for this.
//!
//! ```
//! use hotadd::text;
//!
//! assert_eq!(text::clean("no room\u{1b}[2J for\n\u{202e}it"), "no room\u{fffd}[2J for \u{fffd}it");
//! assert!(text::is_name("pool") && !text::is_name("po\u{200b}ol") && !text::is_name(" \u{3164}"));
//! ```

use std::borrow::Cow;

use unicode_general_category::{GeneralCategory, get_general_category};

/// The longest name, in bytes.
pub const LONGEST_NAME: usize = 64;

/// Whether a character is plain: visible, and without another effect. The other characters control the terminal, break the line,
/// change the reading direction, or are invisible, so that different texts look the same.
///
/// The others are the controls (C0, DEL, C1), the formats (bidirectional controls, joiners and other zero-width characters, the
/// soft hyphen, the byte order mark, tags), the line and paragraph separators of Unicode, and the few invisible letters and
/// marks: Hangul fillers, the grapheme joiner, the implied vowels of Khmer, and variation selectors.
#[must_use]
pub fn is_plain(c: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    // Nearly all text.
    if matches!(c, ' '..='~') {
        return true;
    }
    let invisible = matches!(
        c,
        '\u{034f}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2065}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    let category = get_general_category(c);
    !invisible && !matches!(category, Control | Format | LineSeparator | ParagraphSeparator)
}

/// The character as it may be shown: itself if it [is plain](is_plain), a space for a tab or a line end, otherwise U+FFFD.
#[must_use]
pub fn clean_char(c: char) -> char {
    match c {
        '\t' | '\n' => ' ',
        c if is_plain(c) => c,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

/// The text as it may be shown, in one line.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if is_clean(text) { Cow::Borrowed(text) } else { text.chars().map(clean_char).collect() }
}

/// The first `most` characters of the text as they may be shown, in one line. For texts without a limit of their own.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).map(clean_char).collect()
}

/// Whether a text may be shown as it is.
#[must_use]
pub fn is_clean(text: &str) -> bool {
    text.chars().all(is_plain)
}

/// Whether a text is a valid name (R7): 1 to 64 bytes of plain characters, of which the first and the last are visible.
#[must_use]
pub fn is_name(name: &str) -> bool {
    // The Braille pattern without dots is a plain character, and looks like a space.
    let blank = |c: char| c.is_whitespace() || c == '\u{2800}';
    (1..=LONGEST_NAME).contains(&name.len())
        && is_clean(name)
        && !name.starts_with(blank)
        && !name.ends_with(blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_text_is_clean_and_within_its_limit() {
        assert_eq!(cut("a\u{1b}b\u{202e}c", 4), "a\u{fffd}b\u{fffd}");
        assert_eq!(cut("ab", 4), "ab");
    }

    /// Each kind by its first and last character, and the reason why it is not shown.
    const KINDS: &[(char, char, &str)] = &[
        ('\0', '\u{8}', "C0: steers a terminal"),
        ('\u{b}', '\u{1f}', "C0: steers a terminal"),
        ('\u{7f}', '\u{9f}', "DEL and C1: \u{9b} begins a command as ESC [ does"),
        ('\u{ad}', '\u{ad}', "soft hyphen: seen only where a line is broken"),
        ('\u{34f}', '\u{34f}', "grapheme joiner: invisible"),
        ('\u{61c}', '\u{61c}', "Arabic letter mark: turns the direction"),
        ('\u{115f}', '\u{1160}', "fillers of Hangul: invisible letters"),
        ('\u{17b4}', '\u{17b5}', "implied vowels of Khmer: invisible"),
        ('\u{180b}', '\u{180f}', "Mongolian selectors and separator: invisible"),
        ('\u{200b}', '\u{200d}', "zero-width space and joiners: invisible"),
        ('\u{200e}', '\u{200f}', "marks of direction"),
        ('\u{2028}', '\u{2029}', "separators of lines and paragraphs"),
        ('\u{202a}', '\u{202e}', "embeddings and overrides of direction"),
        ('\u{2060}', '\u{2064}', "word joiner and invisible operators"),
        ('\u{2066}', '\u{206f}', "isolates of direction, and what came before them"),
        ('\u{3164}', '\u{3164}', "filler of Hangul: an invisible letter"),
        ('\u{fe00}', '\u{fe0f}', "selectors of variations: invisible"),
        ('\u{feff}', '\u{feff}', "byte order mark: invisible"),
        ('\u{ffa0}', '\u{ffa0}', "half-width filler of Hangul: an invisible letter"),
        ('\u{fff9}', '\u{fffb}', "annotations between lines"),
        ('\u{e0000}', '\u{e007f}', "tags: invisible, and spell whole sentences"),
        ('\u{e0100}', '\u{e01ef}', "selectors of variations: invisible"),
    ];

    #[test]
    fn control_and_invisible_characters_are_replaced() {
        for &(first, last, why) in KINDS {
            for c in first..=last {
                let text = format!("a{c}b");
                assert!(!is_plain(c), "U+{:04X} passes, {why}", u32::from(c));
                assert_eq!(clean(&text), "a\u{fffd}b", "U+{:04X}, {why}", u32::from(c));
            }
        }
        assert_eq!(clean("a\tb\nc"), "a b c", "a tab and the end of a line are spaces");
    }

    #[test]
    fn r7_a_name_with_an_invisible_character_anywhere_is_refused() {
        for &(first, last, why) in KINDS {
            for c in first..=last {
                for name in [format!("{c}"), format!("a{c}b"), format!("{c}a"), format!("a{c}")] {
                    assert!(
                        !is_name(&name),
                        "{name:?} with U+{:04X} is a name, {why}",
                        u32::from(c)
                    );
                }
            }
        }
        let blanks = [
            "",
            " ",
            "\t",
            "\n",
            "  \u{a0}",
            "\u{2003}",
            "\u{3000}\u{3000}",
            "\u{2800}",
            " a",
            "a ",
        ];
        for blank in blanks {
            assert!(!is_name(blank), "{blank:?} looks like nothing, or like another name");
        }
        assert!(is_name(&"x".repeat(LONGEST_NAME)) && !is_name(&"x".repeat(LONGEST_NAME + 1)));
    }

    #[test]
    fn ordinary_text_of_many_languages_is_unchanged() {
        let texts = [
            "pool",
            "a b",
            "it costs 5 \u{20ac}",
            "\u{e4}\u{f6}\u{fc} \u{df}",
            "\u{65e5}\u{672c}\u{8a9e}",
            "\u{d55c}\u{ad6d}",
            "\u{1112}\u{1161}\u{11ab}",
            "\u{5e9}\u{5dc}\u{5d5}\u{5dd}",
            "\u{645}\u{631}\u{62d}\u{628}\u{627}",
            "\u{939}\u{93f}\u{928}\u{94d}\u{926}\u{940}",
            "e\u{301}",
            "\u{1f980}",
            "\u{fffd}",
            "\u{2026} \u{b7} \u{2014}",
        ];
        for text in texts {
            assert!(matches!(clean(text), Cow::Borrowed(same) if same == text), "{text:?}");
            assert!(is_name(text), "{text:?} is a name");
        }
    }
}
