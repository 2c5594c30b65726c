//! The limits of the protocol, and functions that shorten texts and rows to them.

/// The largest message that either side accepts, in bytes. A set of 2,048 processors takes about 16 KiB. Answers with rows and texts
/// are shortened to fit: [`Room`], [`row_text`].
pub const MAX_MESSAGE: usize = 128 * 1024;

/// The maximum length of a reason on the wire, in bytes.
pub const MAX_REASON: usize = 4096;

/// The maximum time limit of a party, in milliseconds.
pub const MAX_TIME_LIMIT_MS: u32 = 600_000;

/// The maximum number of processors of one batch: its results must fit into a message.
pub(crate) const MAX_BATCH: usize = 512;

/// The part of a message that is reserved for everything but rows.
const HEADER_BYTES: usize = 1024;

/// The size in a message of a result of a batch, or an answer of a rehearsal, besides its text: numbers, names and alignment.
const RESULT_BYTES: usize = 160;

/// The space that rows have in one message.
#[derive(Debug, Default)]
pub struct Room(usize);

impl Room {
    /// Takes the space of a row of this many bytes. Returns false if it does not fit.
    pub fn takes(&mut self, bytes: usize) -> bool {
        self.0 += bytes;
        self.0 <= MAX_MESSAGE - HEADER_BYTES
    }
}

/// The maximum length of the text in each row, for this many results or answers to fit into one message.
#[must_use]
pub fn row_text(rows: usize) -> usize {
    ((MAX_MESSAGE - HEADER_BYTES) / rows.max(1)).saturating_sub(RESULT_BYTES).min(MAX_REASON)
}

/// The text as it can be sent: at most this many bytes, cut between characters, and without NUL, which D-Bus does not allow in a
/// string.
#[must_use]
pub fn text(text: &str, most: usize) -> String {
    // The replacement is longer than a NUL.
    let text = text.replace('\0', "\u{FFFD}");
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use hotadd_core::{ActiveSet, HardwareId, MAX_PROCESSORS};

    use super::*;
    use crate::message::Message;
    use crate::names::{PARTITION, PARTITION_PATH};
    use crate::values::set;

    #[test]
    fn the_largest_set_takes_about_16_kib_of_a_message() {
        let ids: Vec<_> = (0..MAX_PROCESSORS).map(HardwareId).collect();
        let largest = ActiveSet::first(&ids, MAX_PROCESSORS).unwrap();
        let call = Message::call(PARTITION_PATH, PARTITION, "GetSet", &()).unwrap();
        let bytes = call.reply(&set(&largest)).unwrap().bytes().len();
        assert_eq!(bytes >> 10, 16, "{bytes} bytes");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_has_no_nul() {
        assert_eq!(text("a\u{e9}b", 2), "a");
        assert_eq!(text("a\u{e9}b", 3), "a\u{e9}");
        assert_eq!(text("a\0b", 10), "a\u{fffd}b");
    }

    #[test]
    fn a_reason_is_cut_to_4096_bytes() {
        assert_eq!(text(&"x".repeat(5000), MAX_REASON).len(), 4096);
    }

    #[test]
    fn rows_fill_a_message_to_its_last_byte() {
        let mut room = Room::default();
        assert!(room.takes(MAX_MESSAGE - HEADER_BYTES));
        assert!(!room.takes(1));
    }

    #[test]
    fn the_results_of_a_batch_of_any_size_fit_into_a_message() {
        for rows in [0, 1, 30, MAX_BATCH] {
            let all = rows * (row_text(rows) + RESULT_BYTES);
            assert!(all <= MAX_MESSAGE - HEADER_BYTES, "{rows} rows take {all} bytes");
        }
    }
}
