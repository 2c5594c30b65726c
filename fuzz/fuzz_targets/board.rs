//! A board, as a faulty partition could write it: the agent's side takes only valid calls, and ends.

#![no_main]

use std::sync::LazyLock;

use hotadd_page::board::{BoardReader, BoardWriter};
use libfuzzer_sys::fuzz_target;

/// The input overwrites everything behind the version.
static BOARD: LazyLock<BoardWriter> = LazyLock::new(|| BoardWriter::create().expect("memory"));

fuzz_target!(|data: &[u8]| {
    let descriptors = BOARD.descriptors();
    let [memory, doorbell] = descriptors.map(|fd| fd.try_clone_to_owned().expect("a descriptor"));
    let mut rest = [0_u8; 4096 - 12];
    // A call first, then the words before the calls: short inputs reach the fields.
    let length = data.len().min(rest.len());
    let (call, words) = data[..length].split_at(length.min(2048));
    rest[2048 - 12..][..call.len()].copy_from_slice(call);
    let words = &words[..words.len().min(2048 - 12)];
    rest[..words.len()].copy_from_slice(words);
    // Without them, one call is posted.
    if words.is_empty() {
        rest[128 - 12..][..4].copy_from_slice(&1_u32.to_ne_bytes());
    }
    let file = std::fs::File::from(memory.try_clone().expect("a descriptor"));
    std::os::unix::fs::FileExt::write_all_at(&file, &rest, 12)
        .expect("the memory keeps its length");
    let mut agent = BoardReader::open(memory, doorbell).expect("it is a board");
    for taken in 0.. {
        assert!(taken <= 32, "it ends");
        match agent.next() {
            None => break,
            Some(Err(garbled)) => drop(garbled.to_string()),
            Some(Ok((entry, call))) => {
                assert!(call.notice.processor().index.get() < 2048 && call.serial < 1 << 31);
                agent.agree(entry);
            }
        }
    }
});
