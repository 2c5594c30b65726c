//! [`Simulated`]: processors that exist only in a table, for configurations that no test machine has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use hotadd_core::{Errno, HardwareId, MAX_PROCESSORS, PlatformError, Status};

use super::{Hardware, Monitor, NotAdmitted, Nudge, Survey};
use crate::{Shape, Topology};

/// Simulated processors: any number up to 2,048, with faults on demand. Nothing runs on them.
///
/// All methods may be called from any thread, also while the partition uses it.
///
/// ```
/// use hotadd::hardware::Simulated;
/// use hotadd::{Errno, HardwareId, Partition};
///
/// let hardware = Simulated::new(4, 2)?; // 0-3 run, 4 and 5 are spare
/// hardware.fail_start(HardwareId(5), Errno::EIO);
/// let partition = Partition::simulated(&hardware)?;
///
/// partition.add(HardwareId(4))?;
/// assert_eq!(partition.add(HardwareId(5)).unwrap_err().errno(), Some(Errno::EIO));
/// assert_eq!(partition.count(), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Simulated {
    processors: Arc<Mutex<Table>>,
    shape: Mutex<Option<Shape>>,
    nudge: OnceLock<Nudge>,
}

/// The name of this hardware, also in a partition of another process.
pub(crate) const NAME: &str = "simulated";

type Table = BTreeMap<HardwareId, Simulation>;

#[derive(Clone, Copy, Debug, Default)]
struct Simulation {
    running: bool,
    /// The processor is not plugged in.
    absent: bool,
    /// The processor was plugged in since the last check.
    arrived: bool,
    fail_start: Option<Errno>,
    fail_stop: Option<Errno>,
    delay: Duration,
    /// How often the processor was switched without the partition.
    switched: u64,
}

/// Why a simulation cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulatedError {
    /// No processor runs.
    #[error("a partition needs at least one active processor to run on")]
    NoneActive,
    /// More than 2,048.
    #[error(
        "{0} processors are too many: a partition has at most {MAX_PROCESSORS} (32 groups of 64)"
    )]
    TooMany(u64),
    /// More are to run than there are.
    #[error("{active} processors cannot run: the machine has {all}")]
    TooManyActive {
        /// How many are to run.
        active: u32,
        /// How many there are.
        all: u32,
    },
    /// Two processors have the same id.
    #[error("processor {0} is named twice")]
    NamedTwice(HardwareId),
}

impl Simulated {
    /// Makes `active` running processors, with ids from 0, and `spare` more that can be added.
    ///
    /// # Errors
    /// If none is active, or there are more than 2,048 in total.
    pub fn new(active: u32, spare: u32) -> Result<Arc<Self>, SimulatedError> {
        let total = u64::from(active) + u64::from(spare);
        if total > u64::from(MAX_PROCESSORS) {
            return Err(SimulatedError::TooMany(total));
        }
        let ids = |from, to| (from..to).map(HardwareId);
        Self::with_ids(ids(0, active), ids(active, active + spare))
    }

    /// Makes processors with these ids, which may have gaps.
    ///
    /// # Errors
    /// If none is active, an id comes twice, or there are more than 2,048 in total.
    pub fn with_ids(
        active: impl IntoIterator<Item = HardwareId>,
        spare: impl IntoIterator<Item = HardwareId>,
    ) -> Result<Arc<Self>, SimulatedError> {
        let mut processors = BTreeMap::new();
        let active = active.into_iter().map(|id| (id, true));
        let spare = spare.into_iter().map(|id| (id, false));
        for (id, running) in active.chain(spare) {
            if processors.insert(id, Simulation { running, ..Simulation::default() }).is_some() {
                return Err(SimulatedError::NamedTwice(id));
            }
        }
        if !processors.values().any(|p| p.running) {
            return Err(SimulatedError::NoneActive);
        }
        if processors.len() > MAX_PROCESSORS as usize {
            return Err(SimulatedError::TooMany(processors.len() as u64));
        }
        let processors = Arc::new(Mutex::new(processors));
        Ok(Arc::new(Self { processors, shape: Mutex::new(None), nudge: OnceLock::new() }))
    }

    /// Makes the processors of a machine of this shape. The first `active` ones run, and the others can be added.
    ///
    /// # Errors
    /// If none is active, or more than the machine has.
    pub fn shaped(shape: Shape, active: u32) -> Result<Arc<Self>, SimulatedError> {
        let all = shape.processors();
        let spare = all.checked_sub(active);
        let spare = spare.ok_or(SimulatedError::TooManyActive { active, all })?;
        let simulated = Self::new(active, spare)?;
        simulated.shape(shape);
        Ok(simulated)
    }

    /// Sets where the processors are in their machine ([`Partition::topology`](crate::Partition::topology)), from now on. Nothing
    /// is known before, and of processors that the machine does not have.
    pub fn shape(&self, shape: Shape) {
        *self.shape.lock().unwrap_or_else(PoisonError::into_inner) = Some(shape);
    }

    /// Makes each start of this processor fail from now on. Has no effect if the processor does not exist.
    pub fn fail_start(&self, id: HardwareId, errno: Errno) {
        self.change(id, |p| p.fail_start = Some(errno));
    }

    /// Makes each stop of this processor fail from now on.
    pub fn fail_stop(&self, id: HardwareId, errno: Errno) {
        self.change(id, |p| p.fail_stop = Some(errno));
    }

    /// Lets starts and stops of this processor succeed again, without a delay.
    pub fn heal(&self, id: HardwareId) {
        self.change(id, |p| (p.fail_start, p.fail_stop, p.delay) = (None, None, Duration::ZERO));
    }

    /// Makes each start and stop of this processor take this long from now on.
    pub fn delay(&self, id: HardwareId, delay: Duration) {
        self.change(id, |p| p.delay = delay);
    }

    /// Unplugs a processor: it cannot be added until it is [plugged in](Self::plug) again. If it is running, it vanishes (X2).
    pub fn unplug(&self, id: HardwareId) {
        self.change(id, |p| (p.running, p.absent, p.arrived) = (false, true, false));
        self.look();
    }

    /// Plugs in a processor that was [unplugged](Self::unplug). It is off, and the partition reports that it appeared. Has no
    /// effect on a processor that is plugged in.
    pub fn plug(&self, id: HardwareId) {
        self.change(id, |p| (p.arrived, p.absent) = (p.arrived || p.absent, false));
        self.look();
    }

    /// Makes a running processor vanish (X2). The set is updated and the observers are told at once. The drivers are told at once
    /// or, if a transaction is in progress, when it is over.
    pub fn vanish(&self, id: HardwareId) {
        self.change(id, |p| (p.running, p.switched) = (false, p.switched + 1));
        self.look();
    }

    /// Lets a processor join without agreement (Q3) or, while the parties are being asked about it, run without joining (Q4).
    pub fn intrude(&self, id: HardwareId) {
        self.change(id, |p| {
            (p.running, p.absent, p.switched) = (true, false, p.switched + 1);
        });
        self.look();
    }

    fn look(&self) {
        if let Some(nudge) = self.nudge.get() {
            nudge.nudge();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        lock(&self.processors)
    }

    fn change(&self, id: HardwareId, change: impl FnOnce(&mut Simulation)) {
        if let Some(processor) = self.lock().get_mut(&id) {
            change(processor);
        }
    }

    fn those(&self, are: impl Fn(&Simulation) -> bool) -> Vec<HardwareId> {
        self.lock().iter().filter(|(_, p)| are(p)).map(|(id, _)| *id).collect()
    }

    fn act(&self, id: HardwareId, running: bool) -> Result<(), PlatformError> {
        let Some(processor) = self.lock().get(&id).copied() else {
            return Err(Errno::ENXIO.into());
        };
        if !processor.delay.is_zero() {
            std::thread::sleep(processor.delay);
        }
        if running && processor.absent {
            return Err(Errno::ENXIO.into());
        }
        let fault = if running { processor.fail_start } else { processor.fail_stop };
        if let Some(errno) = fault {
            return Err(errno.into());
        }
        self.change(id, |p| p.running = running);
        Ok(())
    }
}

/// Compares how often processors were switched.
#[derive(Debug)]
struct Switched {
    processors: Arc<Mutex<Table>>,
    before: Vec<(HardwareId, u64)>,
}

impl Monitor for Switched {
    fn switched(&mut self) -> Option<String> {
        let table = lock(&self.processors);
        let mut before = self.before.iter();
        let (id, _) =
            before.find(|(id, before)| table.get(id).is_some_and(|p| p.switched != *before))?;
        Some(format!(
            "processor {id} was switched by another process while the parties were being asked about it"
        ))
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hardware for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    fn active(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(self.those(|p| p.running))
    }

    fn maximum(&self) -> u32 {
        u32::try_from(self.lock().len()).unwrap_or(MAX_PROCESSORS)
    }

    fn candidates(&self) -> Result<Vec<HardwareId>, PlatformError> {
        Ok(self.those(|p| !p.running && !p.absent))
    }

    fn admits(&self, id: HardwareId) -> Result<(), NotAdmitted> {
        let no = |status, reason: &str| Err(NotAdmitted { status, reason: reason.to_owned() });
        match self.lock().get(&id) {
            Some(p) if p.absent => no(Status::DEVICE_DOES_NOT_EXIST, "it is not plugged in"),
            Some(_) => Ok(()),
            None => no(Status::NO_SUCH_DEVICE, "there is no such processor in this simulation"),
        }
    }

    fn monitor(&self, ids: &[HardwareId]) -> Option<Box<dyn Monitor>> {
        let table = self.lock();
        let before = ids.iter().filter_map(|id| Some((*id, table.get(id)?.switched))).collect();
        Some(Box::new(Switched { processors: Arc::clone(&self.processors), before }))
    }

    fn topology(&self, id: HardwareId) -> Topology {
        let shape = *self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        shape.map_or_else(Topology::default, |shape| shape.topology(id))
    }

    fn start(&self, id: HardwareId) -> Result<(), PlatformError> {
        self.act(id, true)
    }

    fn stop(&self, id: HardwareId) -> Result<(), PlatformError> {
        self.act(id, false)
    }

    fn survey(&self, expected: &[HardwareId]) -> Survey {
        let arrived = |p: &mut Simulation| std::mem::take(&mut p.arrived) && !p.running;
        let appeared =
            self.lock().iter_mut().filter_map(|(id, p)| arrived(p).then_some(*id)).collect();
        let running = self.those(|p| p.running);
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        Survey {
            vanished: expected
                .iter()
                .filter(|id| running.binary_search(id).is_err())
                .copied()
                .collect(),
            intruded: running
                .into_iter()
                .filter(|id| expected.binary_search(id).is_err())
                .collect(),
            appeared,
            repaired: Vec::new(),
        }
    }

    fn watch(self: Arc<Self>, nudge: Nudge) {
        // A second partition on the same simulation is not told of vanishing processors.
        let _ = self.nudge.set(nudge);
    }
}
