//! A page of an active set, as a faulty partition could write it: every read stays within its bounds, and ends.

#![no_main]

use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use hotadd::SetPage;
use libfuzzer_sys::fuzz_target;

/// A page of the right length and version. The input overwrites what is behind the version.
static PAGE: LazyLock<(std::fs::File, SetPage)> = LazyLock::new(|| {
    let path = std::env::temp_dir().join(format!("hotadd-fuzz-{}.set", std::process::id()));
    let mut start = vec![0_u8; 25_216];
    start[..8].copy_from_slice(b"hotadd\0\0");
    start[8..12].copy_from_slice(&1_u32.to_ne_bytes());
    std::fs::write(&path, start).expect("a file in the temporary folder");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("it was just made");
    let page = SetPage::open(&path).expect("it is a page");
    std::fs::remove_file(&path).expect("it is there");
    (file, page)
});

fuzz_target!(|data: &[u8]| {
    let (file, page) = &*PAGE;
    let mut rest = vec![0_u8; 25_216 - 12];
    let length = data.len().min(rest.len());
    rest[..length].copy_from_slice(&data[..length]);
    // An odd sequence is a change that does not end, for which a reader waits a second.
    rest[64 - 12] &= !1;
    file.write_all_at(&rest, 12).expect("the file keeps its length");
    let _ = (page.summary(), page.maximum(), page.is_ended());
    let snapshot = page.snapshot().expect("no change is in progress");
    assert!(
        snapshot
            .iter()
            .chain(snapshot.known())
            .chain(snapshot.proposed())
            .all(|p| p.index.get() < 2048)
    );
    let _ = page.wait(page.epoch(), Some(std::time::Duration::ZERO));
});
