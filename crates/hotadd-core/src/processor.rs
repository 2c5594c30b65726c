//! The names of a processor: index, group and number, hardware id.

use core::fmt;

/// Processors in one group: 64, the width of a group mask.
pub const GROUP_SIZE: u32 = 64;

/// Groups in a partition, at most.
pub const MAX_GROUPS: u32 = 32;

/// Processors in a partition, at most: 2,048.
pub const MAX_PROCESSORS: u32 = GROUP_SIZE * MAX_GROUPS;

/// A processor's index in its partition (`NtNumber`): without gaps, from 0, below [`MAX_PROCESSORS`], given in
/// order of first activation and never given to another processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct ProcessorIndex(u32);

impl ProcessorIndex {
    /// The index with this value; `None` from [`MAX_PROCESSORS`] on.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value < MAX_PROCESSORS { Some(Self(value)) } else { None }
    }

    /// For positions that the set has already checked.
    pub(crate) const fn of(position: usize) -> Self {
        debug_assert!(position < MAX_PROCESSORS as usize);
        #[expect(clippy::cast_possible_truncation, reason = "bounded by MAX_PROCESSORS")]
        Self(position as u32)
    }

    /// The index as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The index as a position in a slice.
    #[must_use]
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The group and the number within it: index = 64 * group + number.
    #[must_use]
    pub const fn number(self) -> ProcessorNumber {
        #[expect(clippy::cast_possible_truncation, reason = "below 32, and below 64")]
        ProcessorNumber { group: (self.0 / GROUP_SIZE) as u16, number: (self.0 % GROUP_SIZE) as u8 }
    }
}

impl fmt::Display for ProcessorIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A processor's group and its number within the group (`ProcNumber`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessorNumber {
    /// The group, below [`MAX_GROUPS`].
    pub group: u16,
    /// The number within the group, below [`GROUP_SIZE`].
    pub number: u8,
}

impl ProcessorNumber {
    /// The index of this number; `None` if group or number is out of range.
    #[must_use]
    pub const fn index(self) -> Option<ProcessorIndex> {
        if (self.number as u32) < GROUP_SIZE && (self.group as u32) < MAX_GROUPS {
            ProcessorIndex::new(self.group as u32 * GROUP_SIZE + self.number as u32)
        } else {
            None
        }
    }
}

impl fmt::Display for ProcessorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.group, self.number)
    }
}

/// The platform's number of a processor. On Linux the N of cpuN. May have gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct HardwareId(pub u32);

impl fmt::Display for HardwareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for HardwareId {
    fn from(id: u32) -> Self {
        Self(id)
    }
}

/// A processor with all its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Processor {
    /// Its index in the partition.
    pub index: ProcessorIndex,
    /// Its hardware id.
    pub id: HardwareId,
}

impl Processor {
    /// Its group and the number within it.
    #[must_use]
    pub const fn number(&self) -> ProcessorNumber {
        self.index.number()
    }
}

impl fmt::Display for Processor {
    /// The form for people: by the hardware id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processor {}", self.id)
    }
}
