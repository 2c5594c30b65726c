//! One driver's file with random changes. No such file may do harm.

use std::thread;

use hotadd_nt::pe::{inspect, load};

use crate::{CRASH, header, optional, section, stored};

/// The number of files. With `HOTADD_WHOLE=1` there are five times as many.
const FILES: u64 = 20_000;

/// A generator of pseudo-random numbers with the same sequence on every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

/// A value that is likely to be a boundary.
fn value(numbers: &mut Numbers) -> u32 {
    let random = numbers.next() as u32;
    match random % 6 {
        0 => random,
        1 => u32::MAX - (random >> 8) % 16,
        2 => (random >> 8) % 16,
        3 => 0x1000 * ((random >> 8) % 8),
        4 => CRASH.len() as u32 - (random >> 8) % 16,
        _ => 0x8000_0000 >> ((random >> 8) % 32),
    }
}

/// A position in the file that affects decisions.
fn interesting(numbers: &mut Numbers) -> usize {
    let tables = stored(1);
    match numbers.below(8) {
        0 => header() + numbers.below(24),
        1 => optional() + numbers.below(112),
        2 | 3 => optional() + 112 + 4 * numbers.below(32),
        4 => section(0) + 4 * numbers.below(50),
        5 => numbers.below(CRASH.len() - 4),
        _ => tables.start + 4 * numbers.below(tables.len() / 4),
    }
}

/// Changes this many files. Returns how many could be inspected and how many could be loaded.
fn change(seed: u64, files: u64) -> (u64, u64) {
    let mut numbers = Numbers(seed);
    let (mut inspected, mut loaded) = (0, 0);
    for _ in 0..files {
        let mut file = CRASH.to_vec();
        for _ in 0..=numbers.below(3) {
            let at = interesting(&mut numbers).min(file.len() - 4);
            file[at..at + 4].copy_from_slice(&value(&mut numbers).to_le_bytes());
        }
        if numbers.below(16) == 0 {
            file.truncate(numbers.below(file.len()));
        }
        let inspection = inspect(&file);
        inspected += u64::from(inspection.is_ok());
        // Loading repeats the inspection and then uses memory, so it may refuse more.
        if inspection.is_ok() && load(&file, "changed.sys", false).is_ok() {
            loaded += 1;
        }
    }
    (inspected, loaded)
}

#[test]
fn a_randomly_changed_file_does_not_crash_or_hang_the_loader() {
    let files = if hotadd_testing::whole() { 5 * FILES } else { FILES };
    let changing = [20, 21].map(|seed| thread::spawn(move || change(seed, files / 2)));
    let results = changing.map(|thread| thread.join().unwrap());
    let inspected: u64 = results.iter().map(|(inspected, _)| inspected).sum();
    let loaded: u64 = results.iter().map(|(_, loaded)| loaded).sum();
    // Most changes are harmless. If all files were refused at once, the test would prove nothing.
    assert!(inspected > files / 10, "only {inspected} of {files} looked like drivers");
    assert!(loaded > files / 20, "only {loaded} of {files} could be loaded");
    assert!(inspected < files, "some changes must be seen");
}
