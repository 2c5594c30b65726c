//! [`Asking`]: a partition with agents in other processes.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Notice, Partition};
use hotadd_service::Service;

use crate::Outcome;
use crate::bare::Other;

/// The line of an agents' process when its agents are registered.
const READY: &[u8] = b"ready\n";

/// The name of the service.
const NAME: &str = "bench";

/// A partition that is served in a folder of its own.
pub(crate) struct Served {
    pub(crate) partition: Partition,
    _service: Service,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn start(active: u32, spare: u32) -> Outcome<Self> {
        let partition = Partition::simulated(&Simulated::new(active, spare)?)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run").join(NAME);
        let service = Service::listen(&partition, NAME, &path)?;
        Ok(Self { partition, _service: service, path, _folder: folder })
    }

    pub(crate) fn path(&self) -> Outcome<&str> {
        Ok(self.path.to_str().ok_or("the folder's name is not text")?)
    }
}

/// A partition, and its agents in other processes.
pub(crate) struct Asking {
    // The other end belongs to the agents, which end with it.
    served: Served,
    _others: Vec<Other>,
}

impl Asking {
    /// Agents that speak D-Bus, in one process.
    pub(crate) fn start(agents: u32, delay: Duration, spare: u32) -> Outcome<Self> {
        let served = Served::start(1, spare)?;
        let (count, delay) = (agents.to_string(), delay.as_millis().to_string());
        let other = start(&["agents", served.path()?, &count, &delay])?;
        Ok(Self { served, _others: vec![other] })
    }

    /// Agents of the library, which are called on boards, in a process each.
    pub(crate) fn start_on_boards(agents: u32) -> Outcome<Self> {
        let mut asking = Self { served: Served::start(1, 1)?, _others: Vec::new() };
        for _ in 0..agents {
            asking._others.push(start(&["board", asking.served.path()?])?);
        }
        Ok(asking)
    }

    /// Asks, and tells AddFailure: two round trips each time.
    pub(crate) fn rehearse(&mut self, times: usize, samples: &mut Vec<Duration>) -> Outcome<()> {
        for _ in 0..times {
            let began = Instant::now();
            let rehearsal = self.served.partition.rehearse(HardwareId(1))?;
            samples.push(began.elapsed() / 2);
            assert!(rehearsal.is_agreed());
        }
        Ok(())
    }

    pub(crate) fn add_all(&mut self, adds: u32) -> Outcome<Vec<Duration>> {
        let add = |id| {
            let began = Instant::now();
            self.served.partition.add(HardwareId(id))?;
            Ok(began.elapsed())
        };
        (1..=adds).map(add).collect()
    }
}

/// Starts a process of agents, and waits until they are registered.
fn start(arguments: &[&str]) -> Outcome<Other> {
    let mut other = Other::start(arguments, None)?;
    let mut said = [0; READY.len()];
    other.0.stdout.as_mut().ok_or("it has no stdout")?.read_exact(&mut said)?;
    assert_eq!(said, READY, "the agents' process has failed");
    Ok(other)
}

/// Says that the agents of this process are registered.
pub(crate) fn ready() -> Outcome<()> {
    std::io::stdout().write_all(READY)?;
    Ok(std::io::stdout().flush()?)
}

/// The process of an agent of the library, which has a board. It ends when the partition does.
pub(crate) fn agent_on_board(path: &Path) -> Outcome<()> {
    let partition = Partition::connect(path)?;
    let party = partition.registration("agent").without_replay();
    let _registration = party.register(|_: &Notice| Ok(()))?;
    ready()?;
    while partition.is_connected() {
        thread::sleep(Duration::from_millis(50));
    }
    // Without another connection, whoever deregisters would wait.
    std::process::exit(0)
}
