//! [`CpusetOptions`]: what kind of cpuset it is, and which processors it begins with.

use std::fmt;
use std::time::Duration;

use crate::CpuList;

/// What kind of cpuset it is and which processors it begins with.
///
/// ```
/// use hotadd::hardware::{CpusetKind, CpusetOptions};
///
/// let options = CpusetOptions::new().kind(CpusetKind::Root).start_on("2-3".parse()?);
/// # drop(options);
/// # Ok::<(), hotadd::CpuListError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpusetOptions {
    pub(super) kind: Option<CpusetKind>,
    pub(super) start: Option<CpuList>,
    pub(super) poll: Duration,
}

/// What is in `cpuset.cpus.partition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CpusetKind {
    /// It uses processors of the cgroup above, together with others.
    #[default]
    Member,
    /// Its processors are its own: nobody outside runs there.
    Root,
    /// So too, and the scheduler moves nobody between them.
    Isolated,
}

impl CpusetKind {
    /// The kernel's word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Root => "root",
            Self::Isolated => "isolated",
        }
    }
}

/// The kernel's word for it.
impl fmt::Display for CpusetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CpusetOptions {
    /// A new cpuset is a member and begins with the first processor that it may have; one that was there before stays as it is.
    /// Its files are read, and the masks of its threads, every 250 ms.
    #[must_use]
    pub fn new() -> Self {
        Self { kind: None, start: None, poll: Duration::from_millis(250) }
    }

    /// The kind that it is to be.
    #[must_use]
    pub fn kind(mut self, kind: CpusetKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The processors that it begins with.
    #[must_use]
    pub fn start_on(mut self, processors: CpuList) -> Self {
        self.start = Some(processors);
        self
    }

    /// How long a change may go unnoticed that the kernel tells nobody of: of the cgroup above, mostly. At least 10 ms.
    #[must_use]
    pub fn poll(mut self, every: Duration) -> Self {
        self.poll = every.max(Duration::from_millis(10));
        self
    }
}

impl Default for CpusetOptions {
    fn default() -> Self {
        Self::new()
    }
}
