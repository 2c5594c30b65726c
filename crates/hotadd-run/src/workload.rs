//! The built-in load: a thread on each processor that spins. It is a process of its own, so that it can be kept to a partition
//! like any other. Its counterpart, `load::Load`, is the driver that registers for it.
//!
//! It reads commands from stdin, one a line: `prepare N` (make a thread for processor N), `go N` (make it spin there), `stop N`
//! (end it). Each command except `go` is answered by a line on stdout, `ok` or `no REASON`. Ten times a second the load writes a
//! line with the steps per second done on each processor: `rates 0:412345678 1:398765432`. It ends when stdin ends.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::CpuSet;

/// The number of steps between two checks whether to end.
const STRIDE: u64 = 1 << 14;

/// Time between two reports.
const INTERVAL: Duration = Duration::from_millis(100);

/// The threads by processor, shared with the thread that reports.
type Spinners = Arc<Mutex<BTreeMap<u32, Spinner>>>;

/// Runs until stdin ends.
#[must_use]
pub fn run() -> std::process::ExitCode {
    let spinners = Spinners::default();
    let (ended, reporter_hears) = mpsc::channel::<()>();
    let reporter = {
        let spinners = Arc::clone(&spinners);
        std::thread::spawn(move || report(&spinners, &reporter_hears))
    };
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let answer = match obey(&line, &spinners) {
            Ok(Some(())) => "ok".to_owned(),
            Ok(None) => continue,
            Err(reason) => format!("no {reason}"),
        };
        say(&answer);
    }
    lock(&spinners).clear();
    drop(ended);
    let _ = reporter.join();
    std::process::ExitCode::SUCCESS
}

/// Executes a command line; `None` if it is not answered.
fn obey(line: &str, spinners: &Spinners) -> Result<Option<()>, String> {
    let (verb, id) = line.split_once(' ').ok_or("no such command")?;
    let id: u32 = id.parse().map_err(|_| "no such processor")?;
    match verb {
        "prepare" => {
            let spinner = Spinner::prepare(id).map_err(|error| error.to_string())?;
            lock(spinners).insert(id, spinner);
        }
        "go" => {
            if let Some(spinner) = lock(spinners).get_mut(&id) {
                spinner.go = None;
            }
            return Ok(None);
        }
        "stop" => drop(lock(spinners).remove(&id)),
        _ => return Err("no such command".to_owned()),
    }
    Ok(Some(()))
}

/// A thread that waits, then spins on its processor until it is dropped.
struct Spinner {
    /// Dropping it starts the thread.
    go: Option<mpsc::Sender<()>>,
    stop: Arc<AtomicBool>,
    steps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Spinner {
    fn prepare(id: u32) -> std::io::Result<Self> {
        let (go, wait) = mpsc::channel::<()>();
        let stop = Arc::new(AtomicBool::new(false));
        let steps = Arc::new(AtomicU64::new(0));
        let (flag, counter) = (Arc::clone(&stop), Arc::clone(&steps));
        let thread = std::thread::Builder::new().name(format!("load/{id}")).spawn(move || {
            // Nothing may run on the processor until it has joined.
            let _ = wait.recv();
            let mut here = CpuSet::new();
            if (id as usize) < CpuSet::MAX_CPU {
                here.set(id as usize);
                // If this is refused, the thread spins elsewhere in the partition, which does no harm.
                let _ = rustix::thread::sched_setaffinity(None, &here);
            }
            spin(&counter, &flag);
        })?;
        Ok(Self { go: Some(go), stop, steps, thread: Some(thread) })
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        // Relaxed: the flag only has to be seen eventually; joining orders the rest.
        self.stop.store(true, Ordering::Relaxed);
        self.go = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn spin(steps: &AtomicU64, stop: &AtomicBool) {
    let mut state = 1_u64;
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..STRIDE {
            // A step of a linear congruential generator: work that can be neither skipped nor vectorised.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        std::hint::black_box(state);
        // Relaxed: a sum that is read later.
        steps.fetch_add(STRIDE, Ordering::Relaxed);
    }
}

fn report(spinners: &Spinners, ended: &mpsc::Receiver<()>) {
    let mut began = Instant::now();
    while ended.recv_timeout(INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
        let took = began.elapsed().as_secs_f64();
        began = Instant::now();
        let mut line = "rates".to_owned();
        for (id, spinner) in &*lock(spinners) {
            #[expect(clippy::cast_precision_loss, reason = "a rate to look at")]
            let rate = spinner.steps.swap(0, Ordering::Relaxed) as f64 / took;
            if spinner.go.is_none() {
                let _ = write!(line, " {id}:{rate:.0}");
            }
        }
        say(&line);
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        // The reports have no reader any more.
        std::process::exit(0);
    }
}

fn lock(spinners: &Spinners) -> std::sync::MutexGuard<'_, BTreeMap<u32, Spinner>> {
    spinners.lock().unwrap_or_else(PoisonError::into_inner)
}
