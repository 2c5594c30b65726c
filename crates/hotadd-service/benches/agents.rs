//! The cost of parties in other processes: asking one agent, compared with a bare exchange of the same number
//! of bytes with another process over a Unix socket; and an add over a hundred slow agents that are asked at
//! the same time.
//! //!
//! //! The agents live in another process, which runs this program again. Each is as fast as possible: a
//! thread that reads a call and writes the smallest reply. `cargo bench -p hotadd-service --bench agents`

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hotadd::hardware::Simulated;
use hotadd::{HardwareId, Notice, Partition};
use hotadd_service::Service;
use hotadd_wire as wire;
use zbus::Message;
use zbus::zvariant::ObjectPath;

/// The size of a call of an agent, except for the length of a name.
const CALL: usize = 200;

/// The smallest reply: a header with the serial that it answers.
const REPLY: usize = 24;

/// The number of slow agents, and their delay.
const AGENTS: u32 = 100;
const DELAY: Duration = Duration::from_millis(10);

/// The limit for asking one agent, in bare exchanges.
const MOST_RATIO: f64 = 4.0;

/// The limit for asking one agent on its board, in bare exchanges.
const MOST_BOARD: f64 = 1.0;

/// The limit for an add over all agents. One after the other they would take a second.
const MOST_ADD: Duration = Duration::from_millis(30);

/// The line of the agents' process when all are registered.
const READY: &[u8] = b"ready\n";

/// The name of the service.
const NAME: &str = "bench";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The numbers of measurements.
struct Size {
    rounds: usize,
    /// Of one round.
    samples: usize,
    adds: u32,
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[1..] {
        ["echo"] => return echo(),
        ["agents", path, count, delay] => {
            return agents(Path::new(path), count.parse()?, Duration::from_millis(delay.parse()?));
        }
        ["boards", path, count] => return boards(Path::new(path), count.parse()?),
        _ => {}
    }
    // `cargo bench` passes this argument. Without it, the bench is only checked once.
    let measured = arguments.iter().any(|argument| argument == "--bench");
    let size = if measured {
        Size { rounds: 20, samples: 2_000, adds: 100 }
    } else {
        Size { rounds: 1, samples: 2, adds: 1 }
    };
    let (mut bares, mut askeds, mut boardeds) = (Vec::new(), Vec::new(), Vec::new());
    let mut bare = Bare::start()?;
    let mut asking = Asking::start(1, Duration::ZERO, 1)?;
    let mut boarding = Asking::start_on_boards(1, 1)?;
    // Alternating, so that other load affects both alike.
    for _ in 0..size.rounds {
        bare.exchange(size.samples, &mut bares)?;
        asking.rehearse(size.samples / 2, &mut askeds)?;
        boarding.rehearse(size.samples / 2, &mut boardeds)?;
    }
    drop((bare, asking, boarding));
    let mut adds = Asking::start(AGENTS, DELAY, size.adds)?.add_all(size.adds)?;
    if !measured {
        return Ok(());
    }
    let (bare, asked, add) = (median(&mut bares), median(&mut askeds), median(&mut adds));
    let worst = adds.last().copied().unwrap_or_default();
    let ratio = asked.as_secs_f64() / bare.as_secs_f64();
    println!("bare exchange with another process over a Unix socket: {bare:.1?}");
    println!("asking one agent in another process: {asked:.1?}");
    println!("  ratio {ratio:.2}, target at most {MOST_RATIO}: {}", verdict(ratio <= MOST_RATIO));
    let boarded = median(&mut boardeds);
    let ratio = boarded.as_secs_f64() / bare.as_secs_f64();
    println!("asking one agent in another process on its board: {boarded:.1?}");
    println!("  ratio {ratio:.2}, target at most {MOST_BOARD}: {}", verdict(ratio <= MOST_BOARD));
    println!(
        "an add that {AGENTS} agents take {DELAY:?} each over: {add:.1?}, the longest of {} {worst:.1?}",
        adds.len()
    );
    println!("  target at most {MOST_ADD:?}: {}", verdict(add <= MOST_ADD));
    Ok(())
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Sorts the samples.
fn median(samples: &mut [Duration]) -> Duration {
    samples.sort_unstable();
    samples[samples.len() / 2]
}

/// Another process, which runs this program. It ends when its socket is closed, and is waited for.
struct Other(Child);

impl Other {
    fn start(arguments: &[&str], socket: Option<UnixStream>) -> Outcome<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments);
        if let Some(socket) = socket {
            command.stdin(Stdio::from(OwnedFd::from(socket)));
        }
        Ok(Self(command.stdout(Stdio::piped()).spawn()?))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Its exit status does not matter.
        let _ = self.0.wait();
    }
}

/// Two processes and one socket.
struct Bare {
    // Closed before the other process is waited for.
    socket: UnixStream,
    _other: Other,
}

impl Bare {
    fn start() -> Outcome<Self> {
        let (socket, its_own) = UnixStream::pair()?;
        Ok(Self { socket, _other: Other::start(&["echo"], Some(its_own))? })
    }

    fn exchange(&mut self, times: usize, samples: &mut Vec<Duration>) -> Outcome<()> {
        let mut reply = [0; REPLY];
        for _ in 0..times {
            let began = Instant::now();
            self.socket.write_all(&[1; CALL])?;
            self.socket.read_exact(&mut reply)?;
            samples.push(began.elapsed());
            black_box(&reply);
        }
        Ok(())
    }
}

/// The other process of a bare exchange.
fn echo() -> Outcome<()> {
    use std::os::fd::AsFd;
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut call = [0; CALL];
    while socket.read_exact(&mut call).is_ok() {
        socket.write_all(&call[..REPLY])?;
    }
    Ok(())
}

/// A partition, and its agents in another process.
struct Asking {
    partition: Partition,
    // The other end belongs to the agents.
    _service: Service,
    _other: Other,
    _folder: tempfile::TempDir,
}

impl Asking {
    fn start(agents: u32, delay: Duration, spare: u32) -> Outcome<Self> {
        let delay = delay.as_millis().to_string();
        Self::start_with("agents", agents, spare, &[&delay])
    }

    /// Agents of the library, which are called on boards.
    fn start_on_boards(agents: u32, spare: u32) -> Outcome<Self> {
        Self::start_with("boards", agents, spare, &[])
    }

    fn start_with(role: &str, agents: u32, spare: u32, more: &[&str]) -> Outcome<Self> {
        let partition = Partition::simulated(&Simulated::new(1, spare)?)?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run").join(NAME);
        let service = Service::listen(&partition, NAME, &path)?;
        let path = path.to_str().ok_or("the folder's name is no text")?;
        let count = agents.to_string();
        let mut other = Other::start(&[&[role, path, &count], more].concat(), None)?;
        // It prints a line when all are registered.
        let said =
            other.0.stdout.as_mut().ok_or("it has no stdout")?.read(&mut [0; READY.len()])?;
        assert_eq!(said, READY.len(), "the agents' process has failed");
        Ok(Self { partition, _service: service, _other: other, _folder: folder })
    }

    /// Asks, and tells AddFailure: two round trips each time.
    fn rehearse(&mut self, times: usize, samples: &mut Vec<Duration>) -> Outcome<()> {
        for _ in 0..times {
            let began = Instant::now();
            let rehearsal = self.partition.rehearse(HardwareId(1))?;
            samples.push(began.elapsed() / 2);
            assert!(rehearsal.is_agreed());
        }
        Ok(())
    }

    fn add_all(&mut self, adds: u32) -> Outcome<Vec<Duration>> {
        let add = |id| {
            let began = Instant::now();
            self.partition.add(HardwareId(id))?;
            Ok(began.elapsed())
        };
        (1..=adds).map(add).collect()
    }
}

/// The process of the agents: a connection and a thread for each.
fn agents(path: &Path, count: u32, delay: Duration) -> Outcome<()> {
    let agents: Result<Vec<_>, _> = (0..count).map(|_| Agent::register(path)).collect();
    let agents = agents?;
    std::io::stdout().write_all(READY)?;
    std::io::stdout().flush()?;
    let threads: Vec<_> =
        agents.into_iter().map(|agent| thread::spawn(move || agent.answer(delay))).collect();
    for thread in threads {
        thread.join().map_err(|_| "an agent panicked")?;
    }
    Ok(())
}

/// The process of agents of the library, each with a connection and a board. It ends when the partition does.
fn boards(path: &Path, count: u32) -> Outcome<()> {
    let register = |_| {
        let partition = Partition::connect(path)?;
        let party = partition.registration("agent").without_replay();
        party.register(|_: &Notice| Ok(())).map(|registration| (partition.clone(), registration))
    };
    let registered: Result<Vec<_>, _> = (0..count).map(register).collect();
    let registered = registered?;
    std::io::stdout().write_all(READY)?;
    std::io::stdout().flush()?;
    while registered.iter().any(|(partition, _)| partition.is_connected()) {
        thread::sleep(Duration::from_millis(50));
    }
    // Without another connection, whoever deregisters would wait.
    std::process::exit(0)
}

/// An agent in raw bytes: one read and one write for a call.
struct Agent {
    stream: UnixStream,
    buffer: [u8; 4096],
    /// The filled length of the buffer.
    filled: usize,
}

impl Agent {
    fn register(path: &Path) -> Outcome<Self> {
        let mut stream = UnixStream::connect(path)?;
        let agent = ObjectPath::try_from("/agent")?;
        let call = Message::method_call(wire::PARTITION_PATH, "Register")?
            .interface(wire::PARTITION)?
            .build(&(agent, "agent", wire::LATER_ONLY, 0_i32, 0_u32))?;
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        stream.write_all(call.data())?;
        // The answers to the handshake are two lines.
        let (mut byte, mut lines) = ([0], 0);
        while lines < 2 {
            stream.read_exact(&mut byte)?;
            lines += u32::from(byte[0] == b'\n');
        }
        let mut agent = Self { stream, buffer: [0; 4096], filled: 0 };
        // No party is asked before all are registered, so the first message is the answer.
        match agent.message()?[1] {
            2 => Ok(agent),
            _ => Err("it was not registered".into()),
        }
    }

    /// The next message.
    fn message(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            if let Some(length) = length(&self.buffer[..self.filled]) {
                let message = self.buffer[..length].to_vec();
                self.buffer.copy_within(length..self.filled, 0);
                self.filled -= length;
                return Ok(message);
            }
            match self.stream.read(&mut self.buffer[self.filled..])? {
                0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
                got => self.filled += got,
            }
        }
    }

    /// Agrees to everything until the partition closes.
    fn answer(mut self, delay: Duration) {
        let mut reply = [0_u8; REPLY];
        reply[..4].copy_from_slice(&[b'l', 2, 1, 1]);
        reply[8] = 1;
        reply[12] = 8;
        reply[16..20].copy_from_slice(&[5, 1, b'u', 0]);
        while let Ok(message) = self.message() {
            if message[1] != 1 {
                continue;
            }
            // Only preparing takes time; an outcome does not.
            if !delay.is_zero() && message.windows(9).any(|word| word == b"AddStart\0") {
                thread::sleep(delay);
            }
            reply[20..].copy_from_slice(&message[8..12]);
            if self.stream.write_all(&reply).is_err() {
                return;
            }
        }
    }
}

/// The length of the first message in these bytes, if it is complete.
fn length(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(bytes)).ok()
    };
    let length = 16 + number(12)?.next_multiple_of(8) + number(4)?;
    (bytes.len() >= length).then_some(length)
}
