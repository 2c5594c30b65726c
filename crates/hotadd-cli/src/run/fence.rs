//! [`Fence`]: what keeps the command's processes to the partition's processors: a cpuset where there can be one, else masks.

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

use super::cannot_begin::CannotBegin;
use crate::args::Over;

/// What the cgroups of runs are called, before their process ids.
const PREFIX: &str = "hotadd-run.";

/// What keeps processes to the partition's processors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Fence {
    /// Affinity masks, which a program may change itself.
    Masks(Arc<Affinity>),
    /// A cgroup, which holds by force.
    Cpuset(Arc<Cpuset>, Door),
    /// None: there are no such processors, or all of the machine has them.
    Nothing,
}

/// The way behind the fence, for a process that is about to execute a command.
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
    /// Why it is no cpuset, where that was not asked for.
    pub(crate) instead: Option<String>,
}

impl Fence {
    /// Makes one that begins with these processors, or with the first that there is. A change of which the kernel tells nobody is
    /// found within `poll`.
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

    /// Whether anything can run there.
    pub(crate) const fn is_real(&self) -> bool {
        !matches!(self, Self::Nothing)
    }

    /// The cgroup, if it is one.
    pub(crate) fn cgroup(&self) -> Option<&Path> {
        match self {
            Self::Cpuset(cpuset, _) => Some(cpuset.path()),
            _ => None,
        }
    }

    /// The way behind it at this moment.
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::Masks(affinity) => Way::Mask(Box::new(affinity.mask())),
            Self::Cpuset(_, door) => Way::Door(door.clone()),
            Self::Nothing => Way::Free,
        }
    }

    /// A function that starts a process behind it. A change of masks under way is waited for.
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

    /// Takes away what was made, when nothing runs behind it any more. Says what is left.
    pub(crate) fn close(&self) {
        if let Self::Cpuset(cpuset, _) = self
            && let Err(error) = cpuset.close()
        {
            crate::say::wrong(error);
        }
    }
}

impl Way {
    /// Has a command go this way before it executes.
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

/// A cpuset in the first place where one can be made.
fn cpuset(start: Option<&CpuList>, poll: Duration) -> Result<(Arc<Cpuset>, Door), CpusetError> {
    let mut options = CpusetOptions::new().poll(poll);
    if let Some(start) = start {
        options = options.start_on(start.clone());
    }
    let mut refused = None;
    for place in Cpuset::places()? {
        // Of runs that were killed.
        Cpuset::sweep(&place, PREFIX);
        let name = format!("{PREFIX}{}", std::process::id());
        let made = Cpuset::create(&place, &name, &options);
        match made.and_then(|cpuset| cpuset.door().map(|door| (Arc::new(cpuset), door))) {
            Ok(made) => return Ok(made),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.unwrap_or_else(|| CpusetError::NoPlace("there is no place for one".to_owned())))
}

fn no_cpuset(error: &CpusetError) -> CannotBegin {
    match error {
        CpusetError::NotAllowed { .. } => CannotBegin::Usage(format!("--start: {error}")),
        _ => CannotBegin::System(format!("--over cpuset: {error}")),
    }
}

/// Masks over what this process starts.
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
        AffinityError::Kernel { .. } => CannotBegin::System(error.to_string()),
        _ => CannotBegin::Usage(format!("--start: {error}")),
    }
}
