//! [`Plan`]: which processors to start on, to add and to remove, made from the command line and checked against the machine
//! before anything runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{CpuList, HardwareId, Partition};

use super::fence::{Built, Fence};
use crate::args::{Add, Run};
use crate::spec::SimulateSpec;

/// What a run will do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) partition: Partition,
    /// What keeps processes to it.
    pub(crate) fence: Fence,
    /// Why that is no cpuset, where masks were not asked for.
    pub(crate) instead: Option<String>,
    pub(crate) changes: Vec<Change>,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(HardwareId),
    Remove(HardwareId),
}

/// Why a run cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CannotBegin {
    /// What was asked for makes no sense: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// It does, but the system will not: exit status 1.
    #[error("{0}")]
    System(String),
}

impl Plan {
    pub(crate) fn new(args: &Run) -> Result<Self, CannotBegin> {
        let Built { fence, hardware, instead } = match &args.simulate {
            Some(spec) => {
                let hardware = simulated(spec, args.start.as_ref())?;
                Built { fence: Fence::Nothing, hardware, instead: None }
            }
            None => Fence::build(args.over, args.start.as_ref())?,
        };
        let system = |error: hotadd::Error| CannotBegin::System(error.to_string());
        let partition = Partition::over(Arc::clone(&hardware)).map_err(system)?;
        let add = to_add(&args.add, &partition, &*hardware)?;
        let remove = to_remove(args.remove.as_ref(), &add, &partition)?;
        let changes =
            add.into_iter().map(Change::Add).chain(remove.into_iter().map(Change::Remove));
        Ok(Self { partition, fence, instead, changes: changes.collect() })
    }

    /// The processors that will be added.
    pub(crate) fn additions(&self) -> CpuList {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Add(id) => Some(*id),
            Change::Remove(_) => None,
        });
        added.collect()
    }
}

fn simulated(spec: &SimulateSpec, start: Option<&CpuList>) -> Result<Arc<Simulated>, CannotBegin> {
    let usage = |error: &dyn std::fmt::Display| CannotBegin::Usage(format!("--simulate: {error}"));
    // Also when other processors start: the sizes may be too large even to count.
    let mut hardware = Simulated::new(spec.active, spec.spare).map_err(|e| usage(&e))?;
    if let Some(start) = start {
        let all: CpuList = (0..spec.active + spec.spare).map(HardwareId).collect();
        if let Some(id) = start.ids().iter().find(|id| !all.contains(**id)) {
            let reason =
                format!("--start: processor {id} does not exist; the simulation has {all}");
            return Err(CannotBegin::Usage(reason));
        }
        let rest = all.ids().iter().copied().filter(|id| !start.contains(*id));
        hardware = Simulated::with_ids(start.ids().iter().copied(), rest).map_err(|e| usage(&e))?;
    }
    spec.furnish(&hardware).map_err(|error| usage(&error))?;
    Ok(hardware)
}

fn to_add(
    add: &Add,
    partition: &Partition,
    hardware: &dyn Hardware,
) -> Result<Vec<HardwareId>, CannotBegin> {
    let list = match add {
        Add::None => return Ok(Vec::new()),
        Add::All => return Ok(hardware.candidates()),
        Add::List(list) => list.ids(),
    };
    for &id in list {
        let reason = if partition.active().by_id(id).is_some() {
            "the run starts on it".to_owned()
        } else if let Err(why) = hardware.admits(id) {
            why.reason
        } else {
            continue;
        };
        return Err(CannotBegin::Usage(format!("--add: processor {id} cannot be added: {reason}")));
    }
    Ok(list.to_vec())
}

fn to_remove(
    remove: Option<&CpuList>,
    add: &[HardwareId],
    partition: &Partition,
) -> Result<Vec<HardwareId>, CannotBegin> {
    let Some(remove) = remove else { return Ok(Vec::new()) };
    let all: CpuList = partition.active().iter().map(|p| p.id).chain(add.iter().copied()).collect();
    if let Some(id) = remove.ids().iter().find(|id| !all.contains(**id)) {
        let reason = format!("--remove: processor {id} is neither one to start on nor one to add");
        return Err(CannotBegin::Usage(reason));
    }
    if remove.len() == all.len() {
        let reason = "--remove: that would leave no processor to run on".to_owned();
        return Err(CannotBegin::Usage(reason));
    }
    Ok(remove.ids().to_vec())
}

/// Adds and removes, one by one. What comes of each is heard through events.
pub(crate) fn carry_out(
    partition: &Partition,
    changes: &[Change],
    first: Duration,
    every: Duration,
    stopped: &Receiver<()>,
) {
    for (nth, change) in changes.iter().enumerate() {
        let pause = if nth == 0 { first } else { every };
        if stopped.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        let _ = match change {
            Change::Add(id) => partition.add(*id),
            Change::Remove(id) => partition.remove(*id),
        };
    }
}
