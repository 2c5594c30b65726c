//! A [`World`] to test in, and [`Cast`]: a driver that writes down every call and what queries answered inside it.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, ThreadId};
use std::time::Duration;

use hotadd::hardware::{Hardware, Simulated};
use hotadd::{
    Driver, Epoch, Error, Event, HardwareId, Notice, Partition, Processor, Registration, Removal,
    State, Status, Veto,
};

/// One call of one driver.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) party: String,
    pub(crate) notice: Notice,
    pub(crate) thread: ThreadId,
    pub(crate) seen: Seen,
}

/// What queries answered inside the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The count, alone and in the snapshot.
    pub(crate) count: (u32, u32),
    /// The epoch, alone and in the snapshot.
    pub(crate) epoch: (Epoch, Epoch),
    /// Whether the snapshot has the notice's processor as active.
    pub(crate) active: bool,
    /// Whether index, number and hardware id of the notice's processor translate into one another.
    pub(crate) named: bool,
    /// Whether the hardware runs the processor.
    pub(crate) running: bool,
}

impl Entry {
    pub(crate) fn id(&self) -> u32 {
        self.notice.processor().id.0
    }
}

/// `a AddStart 4`, followed by the status where it is not success, and by `surprise`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.party, self.notice.state(), self.id())?;
        if self.notice.status() != Status::SUCCESS {
            write!(f, " {:?}", self.notice.status())?;
        }
        if self.notice.is_surprise() {
            write!(f, " surprise")?;
        }
        Ok(())
    }
}

/// What all drivers of a world write into, in the order of the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Arc<Mutex<Vec<Entry>>>);

impl Journal {
    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// All entries as lines; the journal is empty afterwards.
    pub(crate) fn take(&self) -> Vec<String> {
        self.lock().drain(..).map(|e| e.to_string()).collect()
    }

    /// The entries of one driver.
    pub(crate) fn of(&self, party: &str) -> Vec<Entry> {
        self.lock().iter().filter(|e| e.party == party).cloned().collect()
    }

    #[track_caller]
    pub(crate) fn expect(&self, promise: &str, lines: &[&str]) {
        assert_eq!(self.take(), lines, "{promise}");
    }
}

/// A simulated partition and everything that is written down about it.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) hardware: Arc<Simulated>,
    pub(crate) partition: Partition,
    pub(crate) journal: Journal,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// Processors 0 to `active` run, and `spare` more can be added.
    pub(crate) fn new(active: u32, spare: u32) -> Self {
        let hardware = Simulated::new(active, spare).expect("a simulation");
        let partition = Partition::simulated(&hardware).expect("a partition");
        Self { hardware, partition, journal: Journal::default(), events: Arc::default() }
    }

    pub(crate) fn driver(&self, name: &str) -> Cast<'_> {
        let recorder = Recorder {
            name: name.to_owned(),
            world: self.clone(),
            script: Box::new(|_| Ok(())),
            removal: false,
        };
        Cast { world: self, recorder, without_replay: false }
    }

    pub(crate) fn add(&self, id: u32) -> Result<hotadd::Change, Error> {
        self.partition.add(HardwareId(id))
    }

    pub(crate) fn remove(&self, id: u32) -> Result<hotadd::Change, Error> {
        self.partition.remove(HardwareId(id))
    }

    /// The hardware ids of the active processors, by index.
    pub(crate) fn active(&self) -> Vec<u32> {
        self.partition.active().iter().map(|p| p.id.0).collect()
    }

    /// The hardware ids of the processors that do not run.
    pub(crate) fn spare(&self) -> Vec<u32> {
        self.hardware.candidates().unwrap().iter().map(|id| id.0).collect()
    }

    /// From now on every event is written down: see [`line`].
    pub(crate) fn watch(&self) {
        let events = Arc::clone(&self.events);
        let observe = self.partition.observe(move |event| {
            events.lock().expect("nobody panics here").push(line(event));
        });
        observe.expect("outside of callbacks").detach();
    }

    #[track_caller]
    pub(crate) fn expect_events(&self, promise: &str, lines: &[&str]) {
        let events = std::mem::take(&mut *self.events.lock().expect("nobody panics here"));
        assert_eq!(events, lines, "{promise}");
    }
}

/// `add-start a 4`, then the clause, `surprise`, `unagreed` and the occasion where they say something.
pub(crate) fn line(event: &Event) -> String {
    let mut line = event.kind.name().to_owned();
    let party = event.party.as_ref().map(|p| p.name.clone());
    let id = event.id.map(|id| id.to_string());
    let clause = event.clause.map(|clause| format!("({clause})"));
    let marks = [(event.surprise, "surprise"), (!event.agreed, "unagreed")];
    let marks = marks.into_iter().filter(|m| m.0).map(|m| m.1.to_owned());
    for part in [party, id, clause].into_iter().flatten().chain(marks) {
        line += " ";
        line += &part;
    }
    if event.occasion != hotadd::Occasion::Change {
        line += &format!(" {:?}", event.occasion).to_lowercase();
    }
    line
}

type Script = Box<dyn FnMut(&Notice) -> Result<(), Veto> + Send>;

struct Recorder {
    name: String,
    world: World,
    script: Script,
    removal: bool,
}

impl Recorder {
    fn told(&mut self, notice: &Notice) -> Result<(), Veto> {
        let entry = Entry {
            party: self.name.clone(),
            notice: *notice,
            thread: thread::current().id(),
            seen: self.look(notice.processor()),
        };
        self.world.journal.lock().push(entry);
        (self.script)(notice)
    }

    fn look(&self, processor: Processor) -> Seen {
        let World { partition, hardware, .. } = &self.world;
        let set = partition.active();
        let names = [
            set.by_id(processor.id),
            set.by_index(processor.index),
            set.by_number(processor.number()),
        ];
        Seen {
            count: (partition.count(), set.count()),
            epoch: (partition.epoch(), set.epoch()),
            active: set.contains(processor.index),
            named: names == [Some(processor); 3],
            running: !hardware.candidates().unwrap().contains(&processor.id),
        }
    }
}

impl Driver for Recorder {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice)
    }
    fn add_complete(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn add_failure(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn removal(&mut self) -> Option<&mut dyn Removal> {
        if self.removal { Some(self) } else { None }
    }
}

impl Removal for Recorder {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.told(notice)
    }
    fn remove_complete(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
    fn remove_failure(&mut self, notice: &Notice) {
        let _ = self.told(notice);
    }
}

/// A recording driver being put together.
pub(crate) struct Cast<'w> {
    world: &'w World,
    recorder: Recorder,
    without_replay: bool,
}

impl Cast<'_> {
    /// What it does in every call, after writing it down.
    pub(crate) fn script(
        mut self,
        script: impl FnMut(&Notice) -> Result<(), Veto> + Send + 'static,
    ) -> Self {
        self.recorder.script = Box::new(script);
        self
    }

    /// What it does when told this of this processor. It agrees.
    pub(crate) fn when(
        self,
        state: State,
        id: u32,
        mut act: impl FnMut() + Send + 'static,
    ) -> Self {
        self.script(move |notice| {
            if is(notice, state, id) {
                act();
            }
            Ok(())
        })
    }

    /// Refuses this processor in this state.
    pub(crate) fn vetoes(self, state: State, id: u32, status: Status) -> Self {
        self.script(move |notice| {
            if is(notice, state, id) { Err(Veto::new(status, "not this one")) } else { Ok(()) }
        })
    }

    pub(crate) fn hears_removal(mut self) -> Self {
        self.recorder.removal = true;
        self
    }

    pub(crate) fn without_replay(mut self) -> Self {
        self.without_replay = true;
        self
    }

    pub(crate) fn try_join(self) -> Result<Registration, Error> {
        let name = self.recorder.name.clone();
        let party = self.world.partition.registration(&name);
        let party = if self.without_replay { party.without_replay() } else { party };
        party.register(self.recorder)
    }

    /// Registers it, and forgets what it heard while doing so.
    pub(crate) fn join(self) -> Registration {
        let world = self.world;
        let registration = self.try_join().expect("nothing speaks against it");
        world.journal.take();
        registration
    }
}

pub(crate) fn is(notice: &Notice, state: State, id: u32) -> bool {
    notice.state() == state && notice.processor().id == HardwareId(id)
}

/// Runs something that must not hang. If it does, says so and ends the process: what waits for ever cannot be cleaned up,
/// and a test that fails would wait for it too, when it drops its registrations.
#[track_caller]
pub(crate) fn finishes<T: Send + 'static>(
    what: &str,
    act: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = done.send(act());
    });
    match result.recv_timeout(Duration::from_secs(60)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let test = thread::current().name().unwrap_or("a test").to_owned();
            // Past the capture of test output, which an abort would throw away.
            let _ = writeln!(std::io::stderr(), "{test}: {what} hangs");
            std::process::abort()
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let panic = worker.join().expect_err("it sent nothing");
            std::panic::resume_unwind(panic)
        }
    }
}
