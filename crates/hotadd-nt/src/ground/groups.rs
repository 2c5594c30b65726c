//! Processor groups: 64 processors each, or fewer for tests, as Windows' own boot option `groupsize` makes them.

use std::sync::atomic::{AtomicU32, Ordering};

use hotadd::{ActiveSet, GROUP_SIZE, ProcessorIndex, ProcessorNumber};

static SIZE: AtomicU32 = AtomicU32::new(GROUP_SIZE);

/// Makes groups of this many processors, from 1 to 64. Must be called before any driver code runs. Numbers outside of the range have
/// no effect.
pub fn set_size(processors: u32) {
    if (1..=GROUP_SIZE).contains(&processors) {
        // Relaxed: drivers' threads are started afterwards.
        SIZE.store(processors, Ordering::Relaxed);
    }
}

/// The number of processors in a group.
pub(crate) fn size() -> u32 {
    SIZE.load(Ordering::Relaxed)
}

/// The group of an index, and its number there: index = size * group + number.
pub(crate) fn number(index: ProcessorIndex) -> ProcessorNumber {
    let (index, size) = (index.get(), size());
    #[expect(
        clippy::cast_possible_truncation,
        reason = "2,048 groups of one at most, 64 in a group at most"
    )]
    ProcessorNumber { group: (index / size) as u16, number: (index % size) as u8 }
}

/// The index of a group and number; `None` if there can be no such processor.
pub(crate) fn index(number: ProcessorNumber) -> Option<ProcessorIndex> {
    let size = size();
    let inside = u32::from(number.number) < size;
    inside
        .then(|| ProcessorIndex::new(u32::from(number.group) * size + u32::from(number.number)))?
}

/// The active processors of a group, one bit each.
pub(crate) fn mask(active: &ActiveSet, group: u16) -> u64 {
    let size = size();
    if size == GROUP_SIZE {
        return active.group_mask(group);
    }
    let is_active = |number: &u8| {
        index(ProcessorNumber { group, number: *number })
            .is_some_and(|index| active.contains(index))
    };
    #[expect(clippy::cast_possible_truncation, reason = "64 at most")]
    let numbers = 0..size as u8;
    numbers.filter(is_active).fold(0, |mask, number| mask | 1 << number)
}
