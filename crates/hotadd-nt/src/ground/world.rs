//! [`World`]: the one system that all drivers of this process live in.

use std::sync::OnceLock;
use std::time::Duration;

use hotadd::{Partition, PartyInfo};

use crate::ground::fault::Fault;
use crate::ground::{counts, time_zone};

/// Where what drivers say goes.
pub trait Console: Send + Sync {
    /// A driver printed this. No line end at its end is implied, and it may have several lines.
    fn print(&self, text: &str);

    /// A driver broke a rule and goes on.
    fn breach(&self, text: &str);

    /// A driver cannot go on. The process ends after this, so what is to be told must have been when it returns. May be called
    /// on any thread, in the middle of anything.
    fn fault(&self, fault: &Fault);

    /// A driver's callback is registered.
    fn registered(&self, party: &PartyInfo) {
        let _ = party;
    }
}

/// The one system that all drivers of this process live in.
pub struct World {
    /// Whose processors they hear of.
    pub partition: Partition,
    /// What registrations are called: the first by this name, later ones with a number behind it.
    pub name: String,
    /// How long a callback may take.
    pub time_limit: Duration,
    /// At which level callbacks register.
    pub level: i32,
    /// Whether the partition's processors are those of this machine. Then threads are pinned where a driver asks.
    pub real: bool,
    /// Where what drivers say goes.
    pub console: Box<dyn Console>,
}

static WORLD: OnceLock<World> = OnceLock::new();

impl World {
    /// Makes this the world. Before it nothing of a driver may run.
    ///
    /// # Errors
    /// The world, if there is one already: it is one for the whole process.
    pub fn begin(self) -> Result<(), Self> {
        WORLD.set(self)?;
        get().watch();
        Ok(())
    }

    /// The world of a program that calls these functions itself: its name, the default time limit, and what is to be said goes to
    /// stderr.
    #[must_use]
    pub fn of_program(partition: Partition) -> Self {
        let name = std::env::current_exe().ok();
        let name = name.as_ref().and_then(|path| path.file_name()).unwrap_or("program".as_ref());
        Self {
            real: partition.hardware() != "simulated",
            partition,
            name: name.to_string_lossy().chars().take(LONGEST_NAME).collect(),
            time_limit: Duration::from_secs(5),
            level: 0,
            console: Box::new(Stderr),
        }
    }

    /// The world. If none has begun, that of a program with a partition of its own process begins now.
    pub fn current() -> &'static Self {
        WORLD.get_or_init(|| match Partition::process() {
            Ok(partition) => {
                let world = Self::of_program(partition);
                world.watch();
                world
            }
            Err(error) => {
                // There is nothing that the functions of this program could answer.
                eprintln!("hotadd: the kernel does not tell which processors there are: {error}");
                std::process::abort()
            }
        })
    }

    /// Keeps what drivers read without calling anybody: how many processors there are. And what takes a look at files is
    /// done now, as later there may be none.
    fn watch(&self) {
        let partition = self.partition.clone();
        // That inside a callback there is no observing does no harm: whenever a driver is called the number is written down.
        if let Ok(observation) =
            self.partition.observe(move |_| counts::refresh(&partition.active()))
        {
            observation.detach();
        }
        counts::refresh(&self.partition.active());
        time_zone::prepare();
    }

    /// Whether there is one.
    #[must_use]
    pub fn has_begun() -> bool {
        WORLD.get().is_some()
    }
}

/// Of a program's name, so that a number still fits behind it.
const LONGEST_NAME: usize = 32;

/// Where a program that calls these functions itself hears of it.
struct Stderr;

impl Console for Stderr {
    fn print(&self, text: &str) {
        eprint!("{text}");
    }

    fn breach(&self, text: &str) {
        eprintln!("hotadd: {text}");
    }

    fn fault(&self, fault: &Fault) {
        eprintln!("hotadd: {fault}");
    }
}

/// The world.
pub(crate) fn get() -> &'static World {
    World::current()
}
