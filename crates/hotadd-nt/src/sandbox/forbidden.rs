//! What happens on a forbidden system call: the kernel sends SIGSYS, and the call is named.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::Thread;

use hotadd::Status;
use libc::{c_int, siginfo_t};
use syscalls::Sysno;

use super::{SandboxError, Tell};
use crate::images;

/// The part of a `siginfo_t` that a SIGSYS has: the C library's headers call it `_sigsys`.
#[repr(C)]
struct Refused {
    signal: [c_int; 4],
    /// The instruction behind the call.
    at: usize,
    number: c_int,
}

/// The call that was refused, and where it was made; of several the first. Written in a signal handler, read by a thread that
/// waits for it.
static CALL: AtomicI64 = AtomicI64::new(NONE);
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// No call.
const NONE: i64 = i64::MIN;

/// The thread that waits.
static TELLER: OnceLock<Thread> = OnceLock::new();

/// How far up the stack the driver's call is looked for: the C library's own frames, in words. There is always as much, as
/// whatever runs a driver's code is further up.
const REACH: usize = 256;

/// Has forbidden calls reported.
pub(super) fn report(tell: Tell) -> Result<(), SandboxError> {
    let teller = std::thread::Builder::new().name("hotadd-forbidden".to_owned());
    let (ready, waits) = channel();
    let teller = teller.spawn(move || {
        deafen();
        let _ = ready.send(());
        wait(&tell);
    });
    let teller = teller.map_err(|error| SandboxError::new("a thread", error))?;
    let _ = TELLER.set(teller.thread().clone());
    // Its start allocates, and the driver is not to stop that halfway.
    let _ = waits.recv();
    type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    let handler: Handler = forbidden;
    // SAFETY: all zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    // On the stack of whoever makes the call, which has room for one: the stack for signals may have little besides registers.
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a handler of the form that SA_SIGINFO asks for, which does not return.
    if unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(SandboxError::last("signals"));
    }
    Ok(())
}

/// Writes down what was called, and stops this thread. It may be called while the C library holds its locks, as in fork, and
/// on a stack that has room for little more than the registers, as when the C library has all threads change their user.
extern "C" fn forbidden(_: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    // SAFETY: the kernel's word on this signal, which has this form; it lives until this returns.
    let refused = unsafe { &*info.cast::<Refused>() };
    // SAFETY: as above.
    let frame = unsafe { &*frame.cast::<libc::ucontext_t>() };
    let place = if images::at(refused.at).is_some() { refused.at } else { caller(frame) };
    let number = i64::from(refused.number);
    // Other threads may make it as well, on behalf of this one. Where a driver made it is what counts.
    if place != 0 {
        PLACE.store(place, Ordering::Relaxed);
    }
    // Release: whoever sees the call sees its place.
    let _ = CALL.compare_exchange(NONE, number, Ordering::Release, Ordering::Relaxed);
    if let Some(teller) = TELLER.get() {
        teller.unpark();
    }
    loop {
        // SAFETY: no conditions.
        unsafe { libc::pause() };
    }
}

/// Waits for a refused call, tells of it, and ends the process.
fn wait(tell: &Tell) {
    let number = loop {
        // Acquire: pairs with the release above.
        match CALL.load(Ordering::Acquire) {
            NONE => std::thread::park(),
            number => break number,
        }
    };
    let sysno = usize::try_from(number).ok().and_then(Sysno::new);
    let name = sysno.map_or("that has no name here", |sysno| sysno.name());
    let (status, what) = (Status::ACCESS_DENIED, "which its sandbox forbids");
    match images::place(PLACE.load(Ordering::Relaxed)) {
        Some(place) => {
            tell(status, format_args!("makes the system call {name}, {what}, at {place}"));
        }
        None => tell(status, format_args!("makes the system call {name}, {what}")),
    }
    std::process::abort()
}

/// No signal stops this thread. When the C library changes the user it sends all threads a signal to make the call too, which
/// it has no other way to block than the kernel's.
fn deafen() {
    let all = u64::MAX;
    // SAFETY: eight bytes, which is the size that is given.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const all,
            ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
}

/// The newest address of a driver's code on the stack of whoever was interrupted: where it called the C library. 0 if there
/// is none.
fn caller(frame: &libc::ucontext_t) -> usize {
    let top = frame.uc_mcontext.gregs[libc::REG_RSP as usize].cast_unsigned() as usize & !7;
    let mut words = (0..REACH).map(|word| {
        let at = ptr::with_exposed_provenance::<usize>(top + word * size_of::<usize>());
        // SAFETY: a word of the interrupted thread's stack, which is deeper than this.
        unsafe { at.read_volatile() }
    });
    words.find(|word| images::at(*word).is_some()).unwrap_or(0)
}
