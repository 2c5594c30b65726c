//! A loaded image in memory.

use std::fs;

use hotadd_nt::pe::{Loaded, load};

use crate::{CRASH, header, optional, patched, section};

/// The lines of this process's memory map between two addresses: start, end, rights.
fn maps(from: usize, to: usize) -> Vec<(usize, usize, String)> {
    let map = fs::read_to_string("/proc/self/maps").unwrap();
    let lines = map.lines().map(|line| {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let address = |text| usize::from_str_radix(text, 16).unwrap();
        (address(start), address(end), rest[..4].to_owned())
    });
    lines.filter(|(start, end, _)| *start < to && *end > from).collect()
}

fn loaded(bytes: &[u8]) -> Loaded {
    load(bytes, "crash.sys", false).unwrap()
}

#[test]
fn no_memory_of_a_driver_is_both_written_and_executed() {
    // Old linkers allowed everything in the first section.
    for bytes in [CRASH.to_vec(), patched(section(0) + 36, &0xe000_0020u32.to_le_bytes())] {
        let loaded = loaded(&bytes);
        let image = loaded.image();
        let maps = maps(image.base, image.base + image.size);
        let rights: Vec<&str> = maps.iter().map(|(_, _, rights)| &rights[..3]).collect();
        assert_eq!(rights, ["r--", "r-x", "r--", "rw-", "r--"], "of {maps:x?}");
    }
}

#[test]
fn an_image_has_unmapped_neighbours_and_is_unmapped_completely() {
    let loaded = loaded(CRASH);
    let (base, size) = (loaded.image().base, loaded.image().size);
    for guard in [base - 4096, base + size] {
        let guard = maps(guard, guard + 4096);
        assert!(guard.iter().all(|(_, _, rights)| rights == "---p"), "{guard:x?}");
    }
    drop(loaded);
    let left = maps(base, base + size);
    assert!(left.iter().all(|(_, _, rights)| !rights.contains('x')), "{left:x?}");
}

#[test]
fn an_image_without_relocations_is_loaded_at_its_base_or_refused() {
    let mut fixed = patched(header() + 22, &[0x23]);
    fixed[optional() + 24..optional() + 32].copy_from_slice(&0x1234_5670_0000u64.to_le_bytes());
    // The address of its cookie is one of those that cannot be relocated now.
    fixed[optional() + 112 + 80..optional() + 112 + 88].fill(0);
    let first = loaded(&fixed);
    assert_eq!(first.image().base, 0x1234_5670_0000);
    let error = load(&fixed, "again.sys", false).expect_err("it is taken").to_string();
    assert_eq!(
        error,
        "not supported: it has no relocations and cannot be loaded at 0x123456700000"
    );
}

#[test]
fn an_export_is_found_by_name_only_if_it_is_code() {
    let loaded = loaded(CRASH);
    let function = loaded.function("read_at").expect("it exports this");
    let image = loaded.image();
    assert!((image.base..image.base + image.size).contains(&function.address()));
    assert!(loaded.function("nothing").is_none());
}
