//! [`Fence`]: keeps the command's processes to the partition's processors: with a cpuset where one can be made, otherwise with
//! masks.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hotadd::CpuList;
use hotadd::hardware::{
    Affinity, AffinityError, Cpuset, CpusetError, CpusetOptions, Door, Hardware, Mask, Tree,
};
use hotadd_service::children::Start;

use crate::failure::CannotBegin;
use crate::options::Over;

/// The prefix of the cgroups of runs. The process id follows.
const PREFIX: &str = "hotadd-run.";

/// Keeps processes to the partition's processors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Fence {
    /// Affinity masks, which a program may change itself.
    Masks(Arc<Affinity>),
    /// A cgroup, which the kernel enforces.
    Cpuset(Arc<Cpuset>, Door),
    /// No fence: the processors are simulated.
    Nothing,
}

/// How a process enters the fence before it executes a command.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    Mask(Box<Mask>),
    Door(Door),
    Free,
}

/// A fence around real processors.
pub(crate) struct Built {
    pub(crate) fence: Fence,
    pub(crate) hardware: Arc<dyn Hardware>,
    /// Why the fence is not a cpuset, if no other kind was requested.
    pub(crate) instead: Option<String>,
}

impl Fence {
    /// Makes a fence that starts with these processors, or with the first one that exists. A change that the kernel does not
    /// report is found within `poll`.
    pub(crate) fn build(
        over: Option<Over>,
        start: Option<&CpuList>,
        poll: Duration,
    ) -> Result<Built, CannotBegin> {
        let instead = match over {
            Some(Over::Affinity) => None,
            _ => match cpuset(start, poll) {
                Ok((cpuset, door)) => {
                    let hardware = Arc::clone(&cpuset) as _;
                    return Ok(Built {
                        fence: Self::Cpuset(cpuset, door),
                        hardware,
                        instead: None,
                    });
                }
                Err(error) if over.is_some() => return Err(no_cpuset(&error)),
                Err(error) => Some(error.to_string()),
            },
        };
        let affinity = Arc::new(masks(start)?.poll_every(poll));
        let hardware = Arc::clone(&affinity) as _;
        Ok(Built { fence: Self::Masks(affinity), hardware, instead })
    }

    /// Whether processes can run on these processors.
    pub(crate) const fn is_real(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The cgroup, if the fence is a cpuset.
    pub(crate) fn cgroup(&self) -> Option<&Path> {
        match self {
            Self::Cpuset(cpuset, _) => Some(cpuset.path()),
            _ => None,
        }
    }

    /// How to enter the fence at this moment.
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::Masks(affinity) => Way::Mask(Box::new(affinity.mask())),
            Self::Cpuset(_, door) => Way::Door(door.clone()),
            Self::Nothing => Way::Free,
        }
    }

    /// Returns a function that starts a process inside the fence. It waits for a change of masks under way.
    pub(crate) fn starts(&self) -> Start {
        let fence = self.clone();
        Arc::new(move |command| {
            match &fence {
                Self::Masks(affinity) => return affinity.spawn(command),
                Self::Cpuset(..) => fence.way().before_exec(command),
                Self::Nothing => {}
            }
            command.spawn()
        })
    }

    /// Removes the cpuset when no process is left in it.
    pub(crate) fn close(&self) -> Result<(), CpusetError> {
        match self {
            Self::Cpuset(cpuset, _) => cpuset.close(),
            _ => Ok(()),
        }
    }
}

impl Way {
    /// Makes a command enter the fence before it executes.
    pub(crate) fn before_exec(self, command: &mut Command) {
        let go = move || Ok(self.go()?);
        // SAFETY: between fork and exec only async-signal-safe things may be done. `go` makes one system call and neither
        // allocates nor locks; the conversion of its error number into an `io::Error` stores a number.
        unsafe { command.pre_exec(go) };
    }

    /// Async-signal-safe.
    fn go(&self) -> rustix::io::Result<()> {
        match self {
            Self::Mask(mask) => mask.adopt(),
            Self::Door(door) => door.enter(),
            Self::Free => Ok(()),
        }
    }
}

/// Makes a cpuset in the first place where that is possible.
fn cpuset(start: Option<&CpuList>, poll: Duration) -> Result<(Arc<Cpuset>, Door), CpusetError> {
    let mut options = CpusetOptions::new().poll(poll);
    if let Some(start) = start {
        options = options.start_on(start.clone());
    }
    let mut refused = None;
    for place in Cpuset::places()? {
        // Removes cpusets of runs that were killed.
        Cpuset::sweep(&place, PREFIX);
        let name = format!("{PREFIX}{}", std::process::id());
        let made = Cpuset::create(&place, &name, &options);
        match made.and_then(|cpuset| cpuset.door().map(|door| (Arc::new(cpuset), door))) {
            Ok(made) => return Ok(made),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| {
        CpusetError::NoPlace("no cgroup was found in which to create one".to_owned())
    }))
}

fn no_cpuset(error: &CpusetError) -> CannotBegin {
    match error {
        CpusetError::NotAllowed { .. } => CannotBegin::usage(format!("--start: {error}")),
        _ => CannotBegin::system(format!("--over cpuset: {error}")),
    }
}

/// Makes masks for the processes that this process starts.
fn masks(start: Option<&CpuList>) -> Result<Affinity, CannotBegin> {
    let first = match start {
        Some(list) => list.clone(),
        None => {
            let all = Affinity::available().map_err(|e| no_masks(&e))?;
            all.ids().first().copied().into_iter().collect()
        }
    };
    Affinity::new(Tree::Descendants, Some(&first)).map_err(|e| no_masks(&e))
}

fn no_masks(error: &AffinityError) -> CannotBegin {
    match error {
        AffinityError::Kernel { .. } => CannotBegin::system(error),
        _ => CannotBegin::usage(format!("--start: {error}")),
    }
}
