//! [`World`]: the one system in which all drivers of this process run.

use std::sync::OnceLock;
use std::time::Duration;

use hotadd::{Partition, PartyInfo};

use crate::ground::fault::Fault;
use crate::ground::rule::{Breach, Rule};
use crate::ground::undisturbed::Undisturbed;
use crate::ground::{arrivals, counts, time_zone};

/// Receives the drivers' output and the reports about them.
pub trait Console: Send + Sync {
    /// A driver printed this. The text need not end with a newline, and may have several lines.
    fn print(&self, text: &str);

    /// A driver broke a rule and continues.
    fn breach(&self, breach: &Breach);

    /// A driver cannot continue. The process ends when this returns, so the report must be complete by then. May be
    /// called on any thread, at any point.
    fn fault(&self, fault: &Fault);

    /// A driver's callback is registered.
    fn registered(&self, party: &PartyInfo) {
        let _ = party;
    }
}

/// The one system in which all drivers of this process run.
pub struct World {
    /// The partition whose processors are reported to the drivers.
    pub partition: Partition,
    /// The name of registrations: the first has this name, later ones have a number appended.
    pub name: String,
    /// The time limit of a callback.
    pub time_limit: Duration,
    /// The level at which callbacks register.
    pub level: i32,
    /// Whether the partition's processors are those of this machine. If so, threads are pinned where a driver asks.
    pub real: bool,
    /// Receives the drivers' output and the reports about them.
    pub console: Box<dyn Console>,
}

static WORLD: OnceLock<World> = OnceLock::new();

impl World {
    /// Installs this as the world. Must be called before any driver code runs.
    ///
    /// # Errors
    /// Returns the world if one exists already: there is one for the whole process.
    pub fn begin(self) -> Result<(), Self> {
        WORLD.set(self)?;
        get().watch();
        Ok(())
    }

    /// The world of a program that calls these functions itself: it has the program's name and the default time
    /// limit, and reports go to stderr.
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

    /// The world. If none exists yet, this creates that of a program with a partition of its own process.
    pub fn current() -> &'static Self {
        WORLD.get_or_init(|| match Partition::process() {
            Ok(partition) => {
                let world = Self::of_program(partition);
                world.watch();
                world
            }
            Err(error) => {
                // Without a partition, no function of this crate has an answer.
                eprintln!("hotadd: the list of processors cannot be read: {error}");
                std::process::abort()
            }
        })
    }

    /// Keeps the number of processors up to date, which drivers read without a call. It also does what needs files,
    /// as there may be none later.
    fn watch(&self) {
        let partition = self.partition.clone();
        // Observing fails inside a callback. That is harmless: the number is updated whenever a driver is called.
        let observer = move |event: &hotadd::Event| {
            counts::refresh(&partition.active());
            arrivals::observe(event);
        };
        if let Ok(observation) = self.partition.observe(observer) {
            observation.detach();
        }
        counts::refresh(&self.partition.active());
        time_zone::prepare();
    }

    /// Receives output and reports. The calling thread is not stopped meanwhile.
    pub(crate) fn console(&'static self) -> Undisturbed<dyn Console> {
        Undisturbed::new(&*self.console)
    }

    /// Reports that a driver broke a rule, without a place in it.
    pub(crate) fn breach(&'static self, rule: Rule, what: impl Into<String>) {
        self.console().breach(&Breach { rule, what: what.into(), place: None });
    }
}

/// The length to which a program's name is cut, so that a number still fits after it.
const LONGEST_NAME: usize = 32;

/// The console of a program that calls these functions itself.
struct Stderr;

impl Console for Stderr {
    fn print(&self, text: &str) {
        eprint!("{text}");
    }

    fn breach(&self, breach: &Breach) {
        eprintln!("hotadd: {breach}");
    }

    fn fault(&self, fault: &Fault) {
        eprintln!("hotadd: {fault}");
    }
}

/// The world.
pub(crate) fn get() -> &'static World {
    World::current()
}
