//! Damaged files: whatever stands in them, nothing panics.

use std::fs;
use std::path::Path;

use hotadd_verify::symbols::Symbols;
use object::{Object, ObjectSection};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::built::{Built, mark};

/// Damages a file in many ways, and looks up the driver's marks each time.
fn damage(file: &Path, driver: &Path, ranges: &[(u64, u64)], cases: u32) {
    let whole = fs::read(file).unwrap();
    let offsets: Vec<u64> = (1..=3).map(|n| mark(driver, n)).collect();
    let all = [(0, whole.len() as u64)];
    let ranges = if ranges.is_empty() { &all[..] } else { ranges };
    let range = prop::sample::select(ranges.to_vec());
    let place = range.prop_flat_map(|(begin, size)| begin..begin + size.max(1));
    let byte = prop_oneof![Just(0), Just(0xff), Just(0x80), any::<u8>()];
    let bytes = prop::collection::vec((place, byte), 1..12);
    let cut = prop_oneof![9 => Just(whole.len()), 1 => 0..whole.len()];
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(bytes, cut), |(bytes, cut)| {
            let mut damaged = whole.clone();
            for (place, byte) in bytes {
                if let Some(at) = damaged.get_mut(place as usize) {
                    *at = byte;
                }
            }
            damaged.truncate(cut);
            fs::write(file, &damaged).unwrap();
            let symbols = Symbols::open(driver);
            for &offset in &offsets {
                for offset in [offset, offset + 0x40] {
                    if let Some(found) = symbols.locate(offset) {
                        let length = |name: &Option<String>| name.as_ref().map_or(0, String::len);
                        prop_assert!(length(&found.function) < 4096 && length(&found.file) < 4096);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    fs::write(file, &whole).unwrap();
}

/// Where the DWARF of a file is, each section as often as any other.
fn dwarf(file: &Path) -> Vec<(u64, u64)> {
    let bytes = fs::read(file).unwrap();
    let file = object::File::parse(&*bytes).unwrap();
    let debug = file.sections().filter(|section| section.name().unwrap().starts_with(".debug"));
    debug.filter_map(|section| section.file_range()).collect()
}

#[test]
fn a_damaged_so_is_harmless() {
    let built = Built::new();
    let driver = built.so("-g");
    damage(&driver, &driver, &[], 300);
    damage(&driver, &driver, &[(0, 0x400)], 300);
    damage(&driver, &driver, &dwarf(&driver), 1500);
}

#[test]
fn a_damaged_compressed_so_is_harmless() {
    let built = Built::new();
    let driver = built.so("-g -gz");
    damage(&driver, &driver, &dwarf(&driver), 500);
}

#[test]
fn a_damaged_sys_is_harmless() {
    let built = Built::new();
    let driver = built.mingw("-g");
    damage(&driver, &driver, &[], 300);
    damage(&driver, &driver, &[(0, 0x400)], 300);
    damage(&driver, &driver, &dwarf(&driver), 500);
    let driver = built.sys("-g -gcodeview", "");
    damage(&driver, &driver, &[], 300);
}

#[test]
fn a_damaged_pdb_is_harmless() {
    let built = Built::new();
    let driver = built.sys("-g -gcodeview", "");
    let pdb = built.path("percpu.pdb");
    // Most of the file is empty. Each kilobyte that is not counts as much as any other.
    let bytes = fs::read(&pdb).unwrap();
    let used = bytes.chunks(256).enumerate().filter(|(_, chunk)| chunk.iter().any(|&b| b != 0));
    let used: Vec<(u64, u64)> = used.map(|(at, _)| (at as u64 * 256, 256)).collect();
    damage(&pdb, &driver, &used, 3000);
}
