//! [`Faulty`]: a sample with injected faults, one for every way in which a driver's process can fail.

use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hotadd::{Driver, Notice, Removal, Sample, State, Veto};
use rustix::process::{Signal, getpid, kill_process};

use crate::spec::Fault;

/// How much later than the time limit a late answer is.
const LATE: Duration = Duration::from_millis(300);

/// The first bytes of a method call that is not completed.
const HALF: &[u8] = b"l\x01\x00\x01\x00\x00\x00\x00\x01\x00\x00\x00\x40";

/// A sample with faults.
pub(super) struct Faulty {
    sample: Sample,
    faults: Vec<(State, Fault)>,
    /// The raw connection, without the protocol's checks.
    raw: UnixStream,
    /// Whether faults also happen in the replay.
    replay: bool,
    time_limit: Duration,
}

impl Faulty {
    pub(super) const fn new(
        sample: Sample,
        faults: Vec<(State, Fault)>,
        raw: UnixStream,
        replay: bool,
        time_limit: Duration,
    ) -> Self {
        Self { sample, faults, raw, replay, time_limit }
    }

    /// Injects the fault that belongs to this notice.
    fn strike(&mut self, notice: &Notice) {
        let is_now = |(when, _): &&(State, Fault)| *when == notice.state();
        let Some((_, fault)) = self.faults.iter().find(is_now) else { return };
        if notice.is_replay() && !self.replay {
            return;
        }
        match fault {
            Fault::Crash => end_by(Signal::KILL),
            Fault::Segv => end_by(Signal::SEGV),
            Fault::Abort => std::process::abort(),
            Fault::Exit(code) => std::process::exit(*code),
            Fault::Hang => hang(),
            Fault::Stop => {
                let _ = kill_process(getpid(), Signal::STOP);
                // Another thread may be stopped first.
                hang();
            }
            Fault::Garbage => self.write(&[0xA5; 64]),
            Fault::Half => {
                self.write(HALF);
                hang();
            }
            Fault::Disconnect => {
                // Shutting down fails only if the connection is closed already.
                let _ = self.raw.shutdown(Shutdown::Both);
            }
            // The fault is the delay itself.
            Fault::Late => std::thread::sleep(self.time_limit + LATE),
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        // So few bytes always fit. If the other end is gone, the fault has no effect.
        let _ = self.raw.write_all(bytes);
    }
}

impl Driver for Faulty {
    fn add_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }

    fn removal(&mut self) -> Option<&mut dyn Removal> {
        Some(self)
    }

    fn notify(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.strike(notice);
        self.sample.notify(notice)
    }
}

impl Removal for Faulty {
    fn remove_start(&mut self, notice: &Notice) -> Result<(), Veto> {
        self.notify(notice)
    }
}

/// Sends this process a signal until it takes effect: every Rust program has a handler that checks the first SIGSEGV for a stack
/// overflow, and then removes itself.
fn end_by(signal: Signal) -> ! {
    loop {
        let _ = kill_process(getpid(), signal);
        std::thread::yield_now();
    }
}

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}
