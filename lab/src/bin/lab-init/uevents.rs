//! Keeps all uevents since the guest is up, so that a test can ask for past events.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lab::wire::Uevent;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustix::time::{ClockId, clock_gettime};

/// The buffer for some hundred events that come while nothing reads.
const ROOM: usize = 1 << 20;

pub(crate) struct Uevents(Arc<Shared>);

#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    more: Condvar,
}

#[derive(Default)]
struct Log {
    events: Vec<Uevent>,
    /// The number of the next event.
    next: usize,
    failed: Option<Errno>,
}

impl Uevents {
    pub(crate) fn listen() -> io::Result<Uevents> {
        let socket = lab::uevents::socket(ROOM)?;
        let shared = Arc::new(Shared::default());
        let log = shared.clone();
        thread::Builder::new().name("uevents".into()).spawn(move || read(&socket, &log))?;
        Ok(Uevents(shared))
    }

    pub(crate) fn since(&self, from: usize) -> io::Result<Vec<Uevent>> {
        let log = self.log();
        log.check()?;
        Ok(log.events.iter().filter(|event| event.number >= from).cloned().collect())
    }

    /// Waits for the first event from a number on that begins with `head`.
    pub(crate) fn wait(
        &self,
        from: usize,
        head: &str,
        limit: Duration,
    ) -> io::Result<Option<Uevent>> {
        let find = |log: &Log| {
            let wanted = |event: &&Uevent| event.number >= from && event.head.starts_with(head);
            log.events.iter().find(wanted).cloned()
        };
        let missing = |log: &mut Log| log.failed.is_none() && find(log).is_none();
        let waited = self.0.more.wait_timeout_while(self.log(), limit, missing);
        let (log, _) = waited.unwrap_or_else(PoisonError::into_inner);
        log.check()?;
        Ok(find(&log))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |errno| Err(errno.into()))
    }
}

fn read(socket: &OwnedFd, shared: &Shared) {
    let mut buffer = [0; 8192];
    loop {
        let read = recv(socket, &mut buffer, RecvFlags::empty());
        let at_us = now();
        let mut log = shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok((length, _)) => {
                let message = &buffer[..length];
                let head = message.split(|byte| *byte == 0).next().unwrap_or_default();
                let head = String::from_utf8_lossy(head).into_owned();
                let number = log.next;
                log.events.push(Uevent { number, at_us, head });
                log.next += 1;
            }
            Err(Errno::INTR) => continue,
            // Events were lost, which is visible as a number without an event.
            Err(Errno::NOBUFS) => log.next += 1,
            Err(errno) => log.failed = Some(errno),
        }
        let over = log.failed.is_some();
        drop(log);
        shared.more.notify_all();
        if over {
            return;
        }
    }
}

/// The time of the monotonic clock, which the kernel's tracing can also use.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000 + time.tv_nsec.cast_unsigned() / 1000
}
