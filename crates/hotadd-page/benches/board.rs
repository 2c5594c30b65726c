//! An exchange over a board against one over a socket, in the same run and with the same placement: a call and its agreement, between
//! two processes. The socket is bare: 64 bytes there and 8 back, and no D-Bus.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use hotadd_core::{HardwareId, Notice, PartyId, Processor, ProcessorIndex, State};
use hotadd_page::board::{BoardReader, BoardWriter, Call, Outcome};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{FdFlags, dup, fcntl_setfd};
use rustix::process::Pid;
use rustix::thread::CpuSet;

/// In a child: the descriptors of its socket, memory and doorbell, the watch in nanoseconds, and its processor.
const CHILD: &str = "HOTADD_BOARD_CHILD";

fn median(mut all: Vec<u64>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2] as f64
}

fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = rustix::thread::sched_setaffinity(None::<Pid>, &set);
}

/// An agent's process, with both ways to reach it.
struct Agent {
    child: Child,
    socket: UnixStream,
    board: BoardWriter,
}

impl Agent {
    fn start(watch: Duration, processor: usize) -> Self {
        let board = BoardWriter::create().unwrap();
        let (socket, theirs) = UnixStream::pair().unwrap();
        let [memory, doorbell] = board.descriptors();
        let handed = [theirs.as_fd(), memory, doorbell].map(|fd| {
            let fd = dup(fd).unwrap();
            fcntl_setfd(&fd, FdFlags::empty()).unwrap();
            fd
        });
        let numbers = handed.each_ref().map(|fd| fd.as_raw_fd().to_string()).join(" ");
        let child = Command::new(std::env::current_exe().unwrap())
            .env(CHILD, format!("{numbers} {} {processor}", watch.as_nanos()))
            .arg0("board-agent")
            .spawn()
            .unwrap();
        Self { child, socket, board }
    }

    fn ask(&mut self) {
        self.socket.write_all(&[1; 64]).unwrap();
    }

    fn hear(&mut self) {
        self.socket.read_exact(&mut [0; 8]).unwrap();
    }

    fn post(&self, serial: u32) -> hotadd_page::board::Entry {
        let processor = Processor { index: ProcessorIndex::new(3).unwrap(), id: HardwareId(7) };
        let notice = Notice::new(State::AddStart, processor);
        let (alone, chained) = (true, false);
        let call = Call { serial, agent: 1, party: PartyId(1), notice, after: 0, alone, chained };
        self.board.post(&call).expect("every call is answered")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// The agent's process: answers on both ways, until its socket is closed.
fn serve(handed: &str) {
    let mut numbers = handed.split(' ').map(|n| n.parse::<u64>().unwrap());
    let mut fd = || take_fd(numbers.next().unwrap());
    let (socket, memory, doorbell) = (fd(), fd(), fd());
    let watch = Duration::from_nanos(numbers.next().unwrap());
    let mut socket = UnixStream::from(socket);
    let mut board = BoardReader::open(memory, doorbell).unwrap();
    // Its main thread is pinned last: the board's reader counts the processors on which it may run.
    let processor = numbers.next().unwrap() as usize;
    if processor < 64 {
        pin(processor);
    }
    socket.write_all(&[0; 8]).unwrap();
    loop {
        while let Some(next) = board.next() {
            let (entry, _) = next.unwrap();
            board.agree(entry);
        }
        if !watch.is_zero() && board.watch(watch) {
            continue;
        }
        let (called, rung) = {
            let doorbell = board.doorbell();
            let mut polled =
                [PollFd::new(&socket, PollFlags::IN), PollFd::new(&doorbell, PollFlags::IN)];
            poll(&mut polled, None).unwrap();
            (!polled[0].revents().is_empty(), !polled[1].revents().is_empty())
        };
        if rung {
            board.silence();
        }
        if called {
            if socket.read_exact(&mut [0; 64]).is_err() {
                return;
            }
            socket.write_all(&[0; 8]).unwrap();
        }
    }
}

/// A duplicate of an inherited descriptor.
fn take_fd(number: u64) -> OwnedFd {
    let path = format!("/proc/self/fd/{number}");
    let pid = rustix::process::getpid();
    let own = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    let found = rustix::process::pidfd_getfd(
        &own,
        i32::try_from(number).unwrap(),
        rustix::process::PidfdGetfdFlags::empty(),
    );
    found.unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The medians of a round over the socket and over the board, in microseconds.
fn exchange(agents: &mut [Agent], rounds: u32, serial: &mut u32) -> (f64, f64) {
    let (mut socket, mut board) = (Vec::new(), Vec::new());
    let far = Instant::now() + Duration::from_secs(600);
    // Batches in turn, so that both have the same conditions.
    for _ in 0..10 {
        for _ in 0..rounds.div_ceil(10) {
            let began = Instant::now();
            agents.iter_mut().for_each(Agent::ask);
            agents.iter_mut().for_each(Agent::hear);
            socket.push(began.elapsed().as_nanos() as u64);
        }
        for _ in 0..rounds.div_ceil(10) {
            *serial += 1;
            let began = Instant::now();
            let entries: Vec<_> = agents.iter().map(|agent| agent.post(*serial)).collect();
            for (agent, entry) in agents.iter().zip(entries) {
                assert_eq!(agent.board.wait(entry, far, || None::<()>), Outcome::Agreed);
            }
            board.push(began.elapsed().as_nanos() as u64);
        }
    }
    (median(socket) / 1000.0, median(board) / 1000.0)
}

fn measure(what: &str, count: usize, watch_us: u64, place: (usize, usize), rounds: u32) {
    let watch = Duration::from_micros(watch_us);
    // Agents inherit the mask, so they are started before this thread is pinned.
    let all = rustix::thread::sched_getaffinity(None).unwrap();
    let mut agents: Vec<_> = (0..count).map(|_| Agent::start(watch, place.1)).collect();
    if place.0 < 64 {
        pin(place.0);
    }
    agents.iter_mut().for_each(Agent::hear);
    let (socket, board) = exchange(&mut agents, rounds, &mut 0);
    println!(
        "{what:<34} watch {watch_us:>3} us: socket {socket:8.2} us, board {board:8.2} us, {:5.2} times as fast",
        socket / board
    );
    let _ = rustix::thread::sched_setaffinity(None::<Pid>, &all);
}

const ANY: usize = usize::MAX >> 1;

fn main() {
    if let Ok(handed) = std::env::var(CHILD) {
        return serve(&handed);
    }
    let bench = std::env::args().any(|arg| arg == "--bench");
    let rounds = if bench { 5_000 } else { 10 };
    // Pinned agents must not watch: their process may run on one processor only. So both placements with a watch are unpinned agents.
    measure("one agent, the same processor", 1, 0, (0, 0), rounds);
    measure("one agent, another processor", 1, 0, (0, 1), rounds);
    for watch in [0, 5, 10, 20, 50, 100] {
        measure("one agent, any processor", 1, watch, (0, ANY), rounds);
    }
    measure("10 agents", 10, 0, (ANY, ANY), rounds / 5);
    measure("10 agents", 10, 20, (ANY, ANY), rounds / 5);
    if bench {
        measure("100 agents", 100, 0, (ANY, ANY), 300);
        measure("100 agents", 100, 20, (ANY, ANY), 300);
        // Load: as many busy threads as there are processors.
        let done = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(std::sync::atomic::Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            measure("one agent, loaded machine", 1, 0, (ANY, ANY), 1_000);
            measure("one agent, loaded machine", 1, 20, (ANY, ANY), 1_000);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }
}
