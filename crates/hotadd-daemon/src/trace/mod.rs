//! A trace of a partition for Perfetto and chrome://tracing: [`Tracer`] writes one while the partition runs, and a [`Converter`] makes
//! one of a history.

mod converter;
mod file;
mod slices;
mod step;
#[cfg(test)]
mod tests;
mod tracks;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hotadd::{Event, Observation, Partition};
use hotadd_service::host::Output;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

pub use self::converter::{Beginning, Converter};
pub use self::file::{LIMIT, TraceFile};
pub use self::step::Step;

/// How many events may wait to be written. More are left out, and counted: a transaction does not wait for a disk.
const WAITING: usize = 65_536;

/// How long the end waits for what is to be written.
const PATIENCE: Duration = Duration::from_secs(5);

enum Message {
    Step(Box<Step>),
    End,
}

/// Writes a trace of a partition of this process, from its thread.
pub struct Tracer {
    observation: Option<Observation>,
    steps: SyncSender<Message>,
    left_out: Arc<AtomicU64>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Tracer {
    /// Begins a trace in this file. `wrong` is called once if it cannot be continued.
    ///
    /// # Errors
    /// What is wrong with the file, or why the partition cannot be observed.
    pub fn begin(
        partition: &Partition,
        name: &str,
        path: &Path,
        wrong: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, String> {
        let cannot = |error: &dyn std::fmt::Display| {
            format!("a trace cannot be written to {}: {error}", path.display())
        };
        let file = TraceFile::create(path, LIMIT).map_err(|error| cannot(&error))?;
        let (steps, taken) = sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let (sender, lost) = (steps.clone(), Arc::clone(&left_out));
        let observe = move |event: &Event| {
            put(&sender, &lost, Step::of(event, now()));
        };
        let observation = partition.observe(observe).map_err(|error| cannot(&error))?;
        let active = partition.active().iter().map(|p| p.id.0).collect();
        let spare = partition.candidates().map_err(|error| cannot(&error))?;
        let beginning = Beginning {
            name: name.to_owned(),
            hardware: partition.hardware().to_owned(),
            active,
            spare: spare.into_iter().map(|id| id.0).collect(),
            mono: now(),
            time: unix_ms(),
        };
        let (finished, done) = sync_channel(1);
        let (lost, place) = (Arc::clone(&left_out), path.display().to_string());
        let work = move || {
            if let Err(error) = write(file, beginning, &taken, &lost) {
                wrong(format!("the trace {place} ends here, because writing failed: {error}"));
            }
            let _ = finished.send(());
        };
        let thread = std::thread::Builder::new().name("hotadd-trace".to_owned()).spawn(work);
        let thread = Some(thread.map_err(|error| cannot(&error))?);
        Ok(Self { observation: Some(observation), steps, left_out, done, thread })
    }

    /// What a driver's file printed, or what became of it.
    pub fn output(&self, driver: &str, output: &Output) {
        let (event, text) = match output {
            Output::Printed(text) => ("said", text),
            Output::Breach(text) => ("breach", text),
            Output::Fault(_, text) => ("fault", text),
            Output::Unloaded(text) | Output::LeftMemory(text) => ("unloaded", text),
        };
        put(&self.steps, &self.left_out, Step::said(event, driver, text, now()));
    }

    /// Ends the trace: writes what is waiting, and the end of the file.
    pub fn end(mut self) {
        if let Some(observation) = self.observation.take() {
            observation.end_soon();
        }
        let mut end = Message::End;
        // The queue may be full.
        let began = std::time::Instant::now();
        while let Err(std::sync::mpsc::TrySendError::Full(back)) = self.steps.try_send(end) {
            if began.elapsed() > PATIENCE {
                return;
            }
            end = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.done.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            // A disk that does not answer must not keep the processes of a run.
            return;
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Tracer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tracer").finish_non_exhaustive()
    }
}

/// Never blocks. Relaxed: the number orders nothing.
fn put(steps: &SyncSender<Message>, left_out: &AtomicU64, step: Step) {
    if steps.try_send(Message::Step(Box::new(step))).is_err() {
        left_out.fetch_add(1, Ordering::Relaxed);
    }
}

fn write(
    mut file: TraceFile,
    beginning: Beginning,
    steps: &Receiver<Message>,
    left_out: &AtomicU64,
) -> io::Result<()> {
    let (mut trace, first) = Converter::begin(beginning);
    file.write(&first)?;
    let mut made: Vec<Value> = Vec::new();
    loop {
        let message = match steps.try_recv() {
            Ok(message) => Some(message),
            Err(_) => {
                // Nothing waits: what was made can be seen.
                file.write(&std::mem::take(&mut made))?;
                steps.recv().ok()
            }
        };
        let lost = left_out.swap(0, Ordering::Relaxed);
        if lost > 0 {
            made.extend(trace.lost(lost, now()));
        }
        match message {
            Some(Message::Step(step)) => made.extend(trace.step(&step)),
            Some(Message::End) | None => {
                made.extend(trace.end(now()));
                file.write(&made)?;
                return file.end();
            }
        }
        if made.len() >= 1024 {
            file.write(&std::mem::take(&mut made))?;
        }
        if file.is_full() {
            made.extend(trace.close(now(), "the trace continues in the next file"));
            file.write(&std::mem::take(&mut made))?;
            file.turn()?;
            file.write(&trace.again(now()))?;
        }
    }
}

/// The monotonic clock, in microseconds.
#[must_use]
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
    u64::try_from(micros).unwrap_or(0)
}

/// The time in milliseconds since 1970.
#[must_use]
pub fn unix_ms() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
