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

/// How long an overdue thread may take to report its position. After that it is reported without a position.
const GRACE: Duration = Duration::from_secs(1);

/// How long reporting a fault may take. Reporting may need a lock that the faulting thread holds.
const TO_REPORT: libc::time_t = 10;

/// The descriptor on which the monitor waits.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// The number of the watch whose thread is asked.
pub(super) static ASKED: AtomicU64 = AtomicU64::new(0);

/// All watches, and the time until which the monitor sleeps.
static WATCHES: Mutex<Watches> = Mutex::new(Watches { list: Vec::new(), until: None, last: 0 });

struct Watches {
    list: Vec<Watch>,
    /// `None` while the monitor waits to be woken.
    until: Option<Instant>,
    last: u64,
}

struct Watch {
    number: u64,
    thread: rustix::thread::Pid,
    limit: Duration,
    deadline: Instant,
    /// Whether its thread was asked for its position.
    asked: bool,
}

fn watches() -> MutexGuard<'static, Watches> {
    // No code panics while it holds this lock.
    WATCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes this process report drivers' faults from now on. Later calls are cheap. Must be called before a sandbox is
/// closed, because it starts a thread.
///
/// # Errors
/// No descriptor or thread can be created.
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
    // SAFETY: the descriptor stays open as long as the process runs, or is -1; and the eight bytes are this
    // function's own.
    unsafe { libc::write(wake, one.as_ptr().cast(), one.len()) };
}

/// Calls a function that may run a driver's code, and reports a fault if it does not return in time.
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
    // Without the monitor nothing is reported, but the function still runs.
    let _ = install();
    let deadline = Instant::now().checked_add(limit);
    // A deadline that cannot be represented means no limit.
    let Some(deadline) = deadline else { return call() };
    let own = crate::ground::thread::own();
    // The thread's number is known, and asking the kernel for it would cost as much as everything else here.
    let thread = own.object.number.load(Ordering::Relaxed).cast_signed();
    let thread = rustix::thread::Pid::from_raw(thread).unwrap_or_else(gettid);
    let mut all = watches();
    all.last += 1;
    let number = all.last;
    all.list.push(Watch { number, thread, limit, deadline, asked: false });
    // The monitor looks at all watches when it wakes, so a later deadline need not wake it.
    let early = all.until.is_none_or(|until| deadline < until);
    if early {
        all.until = Some(deadline);
    }
    drop(all);
    let outer = own.watched.watch.replace(number);
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

/// Asks overdue threads, one at a time, for their position. Returns the time of the next check.
fn look(now: Instant) -> Option<Instant> {
    let mut all = watches();
    for watch in &mut all.list {
        if watch.deadline > now {
            continue;
        }
        if watch.asked {
            // The thread did not answer: it has blocked the signal, or it is stuck in the kernel.
            let what = format!("no answer in {:?}", watch.limit);
            let cause = Cause::Overdue(watch.limit);
            let fault = Fault::new(cause.status(), what, 0).of(cause.rule());
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

/// Reports what a thread recorded before it stopped.
fn tell(report: &Report) -> ! {
    allow_to_report();
    report.fault().raise()
}

/// Ends the process if reporting takes too long. It uses only system calls: the C library's timers may need memory,
/// and the faulting thread may hold the allocator's lock.
fn allow_to_report() {
    // SAFETY: this restores the default action, which ends the process.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_DFL) };
    let mut timer: libc::c_int = 0;
    let none = ptr::null::<libc::sigevent>();
    // SAFETY: without a sigevent the timer sends SIGALRM, and `timer` is memory for its number.
    let made = unsafe {
        libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, none, &raw mut timer)
    };
    if made == 0 {
        let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let then = libc::timespec { tv_sec: TO_REPORT, tv_nsec: 0 };
        let once = libc::itimerspec { it_interval: never, it_value: then };
        let old = ptr::null_mut::<libc::itimerspec>();
        // SAFETY: the timer was made above, and the time is valid.
        unsafe { libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const once, old) };
    }
}

impl Report {
    /// The fault as text.
    pub(super) fn fault(&self) -> Fault {
        let status = self.cause.status();
        let here = |what: String, address: usize| {
            let fault = Fault::new(status, what, address).of(self.cause.rule());
            Fault { address: self.cause.accessed(), ..fault }
        };
        if crate::ground::images::at(self.rip).is_some() {
            return here(self.cause.to_string(), self.rip);
        }
        let (low, high) = self.stack;
        // After a stack overflow the stack pointer is below the stack.
        let from = self.rsp.max(low);
        // SAFETY: this is the stack of the thread that made this report and has stopped forever, from its pointer to
        // its end.
        let newest = || unsafe { calls::newest_call(from, high, None) };
        let call = (from < high).then(newest).flatten();
        // The call does not always identify the callee. While a callee waits, it records its own name.
        let waits_in = self.waits_in.filter(|_| matches!(self.cause, Cause::Overdue(_)));
        let call = call.map(|call| Call { callee: waits_in.or(call.callee), ..call });
        match (self.cause, call) {
            // The text already contains the address that it called or jumped to.
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
