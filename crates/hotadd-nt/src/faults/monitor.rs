//! The monitor: a thread that waits for faults to report, and for calls that take too long.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::thread::gettid;

use super::cause::{Cause, How};
use super::signals::{self, REPORT, Report};
use crate::ground::calls::{self, Call};
use crate::ground::fault::Fault;

/// How long a thread that takes too long may take to say where it is. Then it is reported without.
const GRACE: Duration = Duration::from_secs(1);

/// How long reporting a fault may take: it may need a lock that the faulting thread holds.
const TO_REPORT: libc::time_t = 10;

/// What the monitor waits on.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// The number of the watch that a thread is asked about.
pub(super) static ASKED: AtomicU64 = AtomicU64::new(0);

/// All watches, and until when the monitor sleeps.
static WATCHES: Mutex<Watches> = Mutex::new(Watches { list: Vec::new(), until: None, last: 0 });

struct Watches {
    list: Vec<Watch>,
    /// `None` while it waits to be woken.
    until: Option<Instant>,
    last: u64,
}

struct Watch {
    number: u64,
    thread: rustix::thread::Pid,
    limit: Duration,
    deadline: Instant,
    /// Whether its thread was asked where it is.
    asked: bool,
}

fn watches() -> MutexGuard<'static, Watches> {
    // Nothing panics while it is held.
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process report drivers' faults, from now on. Cheap when it does so already. Before a sandbox is closed: it starts
/// a thread.
///
/// # Errors
/// There is no room for a descriptor or a thread.
pub fn install() -> io::Result<()> {
    static DONE: OnceLock<Result<(), i32>> = OnceLock::new();
    let done =
        DONE.get_or_init(|| begin().map_err(|error| error.raw_os_error().unwrap_or(libc::EIO)));
    done.map_err(io::Error::from_raw_os_error)
}

fn begin() -> io::Result<()> {
    let wake = File::from(eventfd(0, EventfdFlags::CLOEXEC)?);
    WAKE.store(wake.as_raw_fd(), Ordering::Relaxed);
    thread::Builder::new().name("hotadd-faults".into()).spawn(move || run(wake))?;
    signals::install()
}

/// Wakes the monitor. May be called from a signal handler.
pub(super) fn wake() {
    let wake: RawFd = WAKE.load(Ordering::Relaxed);
    let one = 1_u64.to_ne_bytes();
    // SAFETY: a descriptor that is open for as long as the process, or -1; and eight bytes of ours.
    unsafe { libc::write(wake, one.as_ptr().cast(), one.len()) };
}

/// Calls something that may run a driver's code, and reports a fault if it has not returned in time.
pub fn watch<T>(limit: Duration, call: impl FnOnce() -> T) -> T {
    struct End {
        number: u64,
        outer: u64,
    }
    impl Drop for End {
        fn drop(&mut self) {
            crate::ground::thread::own().watched.watch.set(self.outer);
            watches().list.retain(|watch| watch.number != self.number);
        }
    }
    // Without it nothing is reported, and what is called runs all the same.
    let _ = install();
    let deadline = Instant::now().checked_add(limit);
    // A limit beyond the end of time is none.
    let Some(deadline) = deadline else { return call() };
    let mut all = watches();
    all.last += 1;
    let number = all.last;
    all.list.push(Watch { number, thread: gettid(), limit, deadline, asked: false });
    // It looks at all when it wakes, and so need not be woken for what comes later.
    let early = all.until.is_none_or(|until| deadline < until);
    if early {
        all.until = Some(deadline);
    }
    drop(all);
    let outer = crate::ground::thread::own().watched.watch.replace(number);
    let _end = End { number, outer };
    if early {
        wake();
    }
    call()
}

fn run(mut wake: File) {
    loop {
        let now = Instant::now();
        let until = look(now);
        let timeout = until.map(|until| until.saturating_duration_since(now));
        let timeout = timeout.and_then(|timeout| rustix::event::Timespec::try_from(timeout).ok());
        let mut fds = [PollFd::new(&wake, PollFlags::IN)];
        if poll(&mut fds, timeout.as_ref()).is_ok_and(|ready| ready > 0) {
            let _ = wake.read(&mut [0; 8]);
        }
        if let Some(report) = REPORT.taken() {
            tell(&report);
        }
    }
}

/// Asks the thread that is overdue, one at a time, where it is. Returns until when there is nothing more to do.
fn look(now: Instant) -> Option<Instant> {
    let mut all = watches();
    for watch in &mut all.list {
        if watch.deadline > now {
            continue;
        }
        if watch.asked {
            // It did not answer: it has blocked the signal, or the kernel does not let it go.
            let what = format!("no answer in {:?}", watch.limit);
            let fault = Fault { status: Cause::Overdue(watch.limit).status(), what, place: None };
            drop(all);
            allow_to_report();
            fault.raise();
        }
        watch.asked = true;
        watch.deadline = now + GRACE;
        ASKED.store(watch.number, Ordering::Relaxed);
        signals::ask(watch.thread, watch.limit);
        break;
    }
    all.until = all.list.iter().map(|watch| watch.deadline).min();
    all.until
}

/// Reports what a thread has written down before it stopped.
fn tell(report: &Report) -> ! {
    allow_to_report();
    report.fault().raise()
}

/// Ends the process if reporting takes for ever. By system calls alone: the C library's timers may need memory, of which the
/// faulting thread may hold the lock.
fn allow_to_report() {
    // SAFETY: the default action, which is to end the process.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
    let mut timer: libc::c_int = 0;
    let none = ptr::null::<libc::sigevent>();
    // SAFETY: a timer that sends SIGALRM, which is what none says, and memory for its number.
    let made = unsafe {
        libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, none, &raw mut timer)
    };
    if made == 0 {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let then = libc::timespec { tv_sec: TO_REPORT, tv_nsec: 0 };
        let once = libc::itimerspec { it_interval: never, it_value: then };
        let old = ptr::null_mut::<libc::itimerspec>();
        // SAFETY: the timer made above, and a time.
        unsafe { libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const once, old) };
    }
}

impl Report {
    /// In words.
    pub(super) fn fault(&self) -> Fault {
        let status = self.cause.status();
        let here = |what: String, address: usize| Fault::new(status, what, address);
        if crate::ground::images::at(self.rip).is_some() {
            return here(self.cause.to_string(), self.rip);
        }
        let (low, high) = self.stack;
        // When a stack has overflown its pointer is below it.
        let from = self.rsp.max(low);
        // SAFETY: the stack of the thread that made this report and has stopped for ever, from its pointer to its end.
        let newest = || unsafe { calls::newest_call(from, high) };
        let call = (from < high).then(newest).flatten();
        // How a function was called does not always say which it is; where it waits it says so itself.
        let waits_in = self.waits_in.filter(|_| matches!(self.cause, Cause::Overdue(_)));
        let call = call.map(|call| Call { callee: waits_in.or(call.callee), ..call });
        match (self.cause, call) {
            // What it called or jumped to is in the text already.
            (
                Cause::Missing { .. } | Cause::Access { how: How::Executing, .. },
                Some(Call { at, .. }),
            ) => here(self.cause.to_string(), at),
            (cause, Some(Call { at, callee: Some(name) })) => {
                here(format!("{cause} in {name}, called"), at)
            }
            (cause, Some(Call { at, callee: None })) => {
                here(format!("{cause} in hotadd, called"), at)
            }
            (cause, None) => here(format!("{cause} in hotadd"), 0),
        }
    }
}
