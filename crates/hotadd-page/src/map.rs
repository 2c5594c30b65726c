//! [`Map`]: a page in memory, as words that may change at any time. The only `unsafe` of this crate.

#![expect(unsafe_code, reason = "mappings are made and read here")]

use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU32, AtomicU64};

use rustix::fs::fstat;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// A shared mapping. Other processes may change its contents at any time.
#[derive(Debug)]
pub(crate) struct Map {
    start: NonNull<u8>,
    /// How many bytes are mapped. Never changes.
    length: usize,
}

// SAFETY: a `Map` owns its mapping, which is bound to no thread.
unsafe impl Send for Map {}

// SAFETY: all access through `&Map` is by atomics.
unsafe impl Sync for Map {}

impl Map {
    /// Maps the first `length` bytes of a file, which must be at least as long. If the file is truncated later, an access ends the
    /// process with SIGBUS. So only files whose owner is trusted, or whose length is sealed, are mapped.
    pub(crate) fn new(file: impl AsFd, length: usize, writable: bool) -> io::Result<Self> {
        let has = usize::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if has < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let access = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
        // SAFETY: without an address and without MAP_FIXED, the kernel chooses a place at which nothing is mapped.
        let start = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// The word at an offset. Words are loaded only, unless the mapping is writable.
    ///
    /// # Panics
    /// If the offset is not a multiple of 4, or outside of the mapping.
    pub(crate) fn word(&self, at: usize) -> &AtomicU32 {
        &self.words(at, 1)[0]
    }

    /// This many words from an offset on. They are loaded only, unless the mapping is writable.
    ///
    /// # Panics
    /// If the offset is not a multiple of 4, or if a word is outside of the mapping.
    pub(crate) fn words(&self, at: usize, count: usize) -> &[AtomicU32] {
        assert!(
            at.is_multiple_of(4) && count <= self.length / 4 && at + count * 4 <= self.length,
            "words of the page"
        );
        // SAFETY: the assertion: the place is inside of the mapping, or at its end if there are none.
        let start = unsafe { self.start.add(at) }.cast::<AtomicU32>();
        // SAFETY: `start` points to `count` words that are mapped, by the assertion, and aligned, because the mapping begins at a page and
        // `at` is a multiple of 4. They stay mapped as long as `self`. Every access to them in this process is atomic, and what other
        // processes do to them is what an atomic allows. On a read-only mapping only loads happen, and a load of this size never writes.
        unsafe { slice::from_raw_parts(start.as_ptr(), count) }
    }

    /// This many long words from an offset on.
    ///
    /// # Panics
    /// If the offset is not a multiple of 8, or if a long word is outside of the mapping.
    pub(crate) fn longs(&self, at: usize, count: usize) -> &[AtomicU64] {
        assert!(
            at.is_multiple_of(8) && count <= self.length / 8 && at + count * 8 <= self.length,
            "long words of the page"
        );
        // SAFETY: the assertion: the place is inside of the mapping, or at its end if there are none.
        let start = unsafe { self.start.add(at) }.cast::<AtomicU64>();
        // SAFETY: `start` points to `count` long words that are mapped, by the assertion, and aligned, because the mapping begins at a page
        // and `at` is a multiple of 8. They stay mapped as long as `self`. Every access to them in this process is atomic. On a read-only
        // mapping only loads happen, and a load of this size never writes on x86-64 and arm64, the machines of this crate.
        unsafe { slice::from_raw_parts(start.as_ptr(), count) }
    }

    /// The long word at an offset.
    ///
    /// # Panics
    /// If the offset is not a multiple of 8, or if the long word is outside of the mapping.
    pub(crate) fn long(&self, at: usize) -> &AtomicU64 {
        &self.longs(at, 1)[0]
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this mapping was made by `new` with this length, and no reference into it outlives `self`. A failure would leave it
        // mapped.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
    }
}

#[cfg(all(test, not(hotadd_loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::layout::LENGTH;

    #[test]
    fn nothing_outside_of_the_page_can_be_accessed() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LENGTH as u64).unwrap();
        let map = Map::new(&file, LENGTH, true).unwrap();
        assert_eq!(map.words(0, LENGTH / 4).len(), LENGTH / 4);
        assert_eq!(map.longs(0, LENGTH / 8).len(), LENGTH / 8);
        // The last ones have a size that overflows.
        let words =
            [(2, 1), (4, LENGTH / 4), (LENGTH, 1), (0, usize::MAX / 4 + 1), (0, usize::MAX)];
        for (at, count) in words {
            let words = catch_unwind(AssertUnwindSafe(|| map.words(at, count).len()));
            assert!(words.is_err(), "{count} words at {at}");
        }
        let longs =
            [(4, 1), (8, LENGTH / 8), (LENGTH, 1), (0, usize::MAX / 8 + 1), (0, usize::MAX)];
        for (at, count) in longs {
            let longs = catch_unwind(AssertUnwindSafe(|| map.longs(at, count).len()));
            assert!(longs.is_err(), "{count} long words at {at}");
        }
    }
}
