//! [`CpusetOptions`]: the kind of a cpuset, and the processors with which it begins.

use std::fmt;
use std::time::Duration;

use crate::CpuList;

/// The kind of a cpuset, and the processors with which it begins.
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

/// The kind of a cpuset: the content of `cpuset.cpus.partition`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CpusetKind {
    /// It shares processors with the cgroup above and with other cgroups.
    #[default]
    Member,
    /// Its processors are exclusive: no thread outside of it runs there.
    Root,
    /// Its processors are exclusive, and the scheduler does not balance load between them.
    Isolated,
}

impl CpusetKind {
    /// The kernel's word for this kind.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Root => "root",
            Self::Isolated => "isolated",
        }
    }
}

/// The kernel's word for this kind.
impl fmt::Display for CpusetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl CpusetOptions {
    /// The default: a new cpuset is a member and begins with the first processor that it may have. An adopted cpuset is not
    /// changed. The files of the cpuset and the masks of its threads are read every 250 ms.
    #[must_use]
    pub fn new() -> Self {
        Self { kind: None, start: None, poll: Duration::from_millis(250) }
    }

    /// Sets the kind.
    #[must_use]
    pub fn kind(mut self, kind: CpusetKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets the processors with which the cpuset begins.
    #[must_use]
    pub fn start_on(mut self, processors: CpuList) -> Self {
        self.start = Some(processors);
        self
    }

    /// Sets the interval of the checks that find changes without a kernel event, mostly in the cgroup above. At least 10 ms.
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
