//! [`Plan`]: which processors to start on, to add and to remove. It is made from the command line and checked against the machine
//! before anything runs.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{CpuList, Follow, HardwareId, Partition};
use hotadd_daemon::spec::SimulateSpec;

use crate::failure::CannotBegin;
use crate::fence::{Built, Fence};
use crate::options::{Add, Options};

/// What a run will do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) partition: Partition,
    /// Keeps processes to the partition.
    pub(crate) fence: Fence,
    /// Why the fence is not a cpuset, if masks were not requested.
    pub(crate) instead: Option<String>,
    pub(crate) changes: Vec<Change>,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(HardwareId),
    Remove(HardwareId),
}

impl Plan {
    pub(crate) fn new(options: &Options) -> Result<Self, CannotBegin> {
        let Built { fence, hardware, instead } = match &options.simulate {
            Some(spec) => {
                let hardware = simulated(spec, options.start.as_ref())?;
                Built { fence: Fence::Nothing, hardware, instead: None }
            }
            None => Fence::build(options.over, options.start.as_ref(), options.poll)?,
        };
        // A processor that appears before the drivers are registered waits until they can be asked.
        let partition = Partition::from_hardware_following(Arc::clone(&hardware), Follow::Manual);
        let partition = partition.map_err(CannotBegin::system)?;
        let add = to_add(&options.add, &partition, &*hardware)?;
        let remove = to_remove(options.remove.as_ref(), &add, &partition)?;
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
    let usage = |error: &dyn std::fmt::Display| CannotBegin::usage(format!("--simulate: {error}"));
    // The simulation is made even if other processors start: the sizes may be too large to count.
    let mut hardware = Simulated::new(spec.active, spec.spare).map_err(|e| usage(&e))?;
    if let Some(start) = start {
        let all: CpuList = (0..spec.active + spec.spare).map(HardwareId).collect();
        if let Some(id) = start.ids().iter().find(|id| !all.contains(**id)) {
            let reason =
                format!("--start: processor {id} does not exist; the simulation has {all}");
            return Err(CannotBegin::usage(reason));
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
        Add::All => {
            return partition.candidates().map_err(CannotBegin::system);
        }
        Add::List(list) => list.ids(),
    };
    for &id in list {
        let reason = if partition.active().by_id(id).is_some() {
            "the run already starts on it".to_owned()
        } else if let Err(why) = hardware.admits(id) {
            why.reason
        } else {
            continue;
        };
        return Err(CannotBegin::usage(format!("--add: processor {id} cannot be added: {reason}")));
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
        let reason = format!("--remove: processor {id} is in neither --start nor --add");
        return Err(CannotBegin::usage(reason));
    }
    if remove.len() == all.len() {
        let reason = "--remove: no processor would be left to run on".to_owned();
        return Err(CannotBegin::usage(reason));
    }
    Ok(remove.ids().to_vec())
}

/// The times of a plan's changes, and what happens when a processor appears.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) follow: Follow,
    /// The time before any party is asked.
    pub(crate) after: Duration,
    /// The additional time before the first change.
    pub(crate) first: Duration,
    /// The time from one change to the next.
    pub(crate) every: Duration,
}

/// Follows processors that appear, then adds and removes, one by one. All parties have registered before. The results are
/// reported by events. If following fails, that is reported, and the changes are made nevertheless.
pub(crate) fn carry_out(
    partition: &Partition,
    changes: &[Change],
    course: Course,
    stopped: &Receiver<()>,
    cannot_follow: impl Fn(hotadd::Error),
) {
    let Course { follow, after, first, every } = course;
    let set = || partition.follow(follow).unwrap_or_else(&cannot_follow);
    // Reporting has no effect on the command, so no time is needed before it.
    if follow != Follow::Ask {
        set();
    }
    if !pause(after, stopped) {
        return;
    }
    if follow == Follow::Ask {
        set();
    }
    for (nth, change) in changes.iter().enumerate() {
        if !pause(if nth == 0 { first } else { every }, stopped) {
            return;
        }
        let _ = match change {
            // The processor appeared before its turn, and has joined already.
            Change::Add(id) if is_active(partition, *id) => continue,
            Change::Add(id) => partition.add(*id),
            Change::Remove(id) => partition.remove(*id),
        };
    }
}

/// Waits for some time. Returns false if the run ends meanwhile.
fn pause(time: Duration, stopped: &Receiver<()>) -> bool {
    stopped.recv_timeout(time) != Err(RecvTimeoutError::Disconnected)
}

fn is_active(partition: &Partition, id: HardwareId) -> bool {
    let active = partition.active();
    active.by_id(id).is_some_and(|processor| active.contains(processor.index))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use hotadd::EventKind::{Appeared, Joined, Refused};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Far longer than any step of these tests takes.
    const LONG: Duration = Duration::from_secs(30);

    type Told = Receiver<(hotadd::EventKind, u32)>;

    fn hear(partition: &Partition) -> Told {
        let (sender, told) = channel();
        let observe = move |event: &hotadd::Event| {
            if matches!(event.kind, Appeared | Joined | Refused) {
                let _ = sender.send((event.kind, event.id.map_or(u32::MAX, |id| id.0)));
            }
        };
        partition.observe(observe).unwrap().detach();
        told
    }

    /// Processor 0 is active; 1 and 2 can be added; 3 appeared before any observer or party was there.
    fn fixture() -> (Partition, Told) {
        let hardware = Simulated::new(1, 3).unwrap();
        hardware.unplug(HardwareId(3));
        hardware.plug(HardwareId(3));
        let partition = Partition::from_hardware_following(hardware, Follow::Manual).unwrap();
        let told = hear(&partition);
        (partition, told)
    }

    fn course(follow: Follow, after: Duration) -> Course {
        Course { follow, after, first: Duration::ZERO, every: Duration::ZERO }
    }

    /// Following must not fail in these tests.
    fn none(error: hotadd::Error) {
        std::panic::panic_any(error);
    }

    fn running() -> (Sender<()>, Receiver<()>) {
        channel()
    }

    #[test]
    fn h2_a_processor_that_appeared_before_the_drivers_registered_is_added_with_the_planned_ones() {
        let (partition, told) = fixture();
        let (_stop, stopped) = running();
        let changes = [1, 2].map(|id| Change::Add(HardwareId(id)));
        carry_out(&partition, &changes, course(Follow::Ask, Duration::ZERO), &stopped, none);
        let mut four = [(); 4].map(|()| told.recv_timeout(LONG).unwrap());
        assert_eq!(four[0], (Appeared, 3));
        // Two threads add now, so the order is not fixed.
        four.sort_by_key(|(_, id)| *id);
        assert_eq!(four, [(Joined, 1), (Joined, 2), (Appeared, 3), (Joined, 3)]);
    }

    #[test]
    fn h2_an_appeared_processor_is_not_added_if_it_is_reported_or_waits() {
        for follow in [Follow::Report, Follow::Manual] {
            let (partition, told) = fixture();
            let (_stop, stopped) = running();
            let changes = [Change::Add(HardwareId(1))];
            carry_out(&partition, &changes, course(follow, Duration::ZERO), &stopped, none);
            let mut expected = vec![(Appeared, 3), (Joined, 1)];
            expected.retain(|(kind, _)| follow == Follow::Report || *kind == Joined);
            assert_eq!(told.try_iter().collect::<Vec<_>>(), expected);
            assert_eq!(partition.following(), follow);
        }
    }

    #[test]
    fn h2_during_the_initial_delay_appearances_are_reported_and_nothing_is_added() {
        for follow in [Follow::Ask, Follow::Report] {
            let (partition, told) = fixture();
            let (stop, stopped) = running();
            // The run ends during that time.
            drop(stop);
            let changes = [Change::Add(HardwareId(1))];
            carry_out(&partition, &changes, course(follow, HOUR), &stopped, none);
            let expected = (follow == Follow::Report).then_some((Appeared, 3));
            assert_eq!(told.try_iter().collect::<Vec<_>>(), Vec::from_iter(expected));
            assert_ne!(partition.following(), Follow::Ask);
        }
    }

    #[test]
    fn h2_a_planned_processor_that_has_joined_already_is_not_added_again() {
        let (partition, told) = fixture();
        let (_stop, stopped) = running();
        partition.add(HardwareId(1)).unwrap();
        let changes = [1, 2].map(|id| Change::Add(HardwareId(id)));
        carry_out(&partition, &changes, course(Follow::Manual, Duration::ZERO), &stopped, none);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [(Joined, 1), (Joined, 2)]);
    }

    #[test]
    fn a_plan_ends_with_the_run_whether_or_not_it_waits() {
        let (partition, told) = fixture();
        let (stop, stopped) = running();
        drop(stop);
        let ends = Course { first: HOUR, ..course(Follow::Manual, Duration::ZERO) };
        carry_out(&partition, &[Change::Add(HardwareId(1))], ends, &stopped, none);
        assert!(told.try_recv().is_err(), "also if the plan need not wait");
    }
}
