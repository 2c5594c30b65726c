//! What happens on a forbidden system call: the kernel sends SIGSYS, and the call is named.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread::Thread;

use hotadd::Status;
use libc::{c_int, siginfo_t};
use syscalls::Sysno;

use super::{SandboxError, Tell};
use crate::ground::images;

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

/// Where this program's code begins and ends.
static OURS: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// Calls that look something up in the file system: the C library makes them on its own account, for reasons that change with its
/// version.
const LOOKS: [i64; 10] = [
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getdents64,
    libc::SYS_newfstatat,
    libc::SYS_open,
    libc::SYS_openat,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_statx,
];

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
    // SAFETY: a function of the form that is asked for.
    unsafe { libc::dl_iterate_phdr(Some(take_down), ptr::null_mut()) };
    // Its start allocates, and the driver is not to stop that halfway.
    let _ = waits.recv();
    type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    let handler: Handler = forbidden;
    // SAFETY: all zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    // On the stack of whoever makes the call, which has room for one: the stack for signals may have little besides registers.
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: a handler of the form that SA_SIGINFO asks for.
    if unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(SandboxError::last("signals"));
    }
    Ok(())
}

/// Writes down what was called, and stops this thread, unless the driver has nothing to do with it. It may be called while the C
/// library holds its locks, as in fork, and on a stack that has room for little more than the registers, as when the C library has
/// all threads change their user.
///
/// # Safety
/// The kernel calls it, as the handler of SIGSYS.
unsafe extern "C" fn forbidden(_: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    // SAFETY: the kernel's word on this signal, which has this form; it lives until this returns.
    let refused = unsafe { &*info.cast::<Refused>() };
    // SAFETY: the kernel has put the registers on the stack of this handler. Nobody else has them until it returns.
    let frame = unsafe { &mut *frame.cast::<libc::ucontext_t>() };
    let number = i64::from(refused.number);
    if number == libc::SYS_newfstatat
        && register(frame, libc::REG_R10) == libc::AT_EMPTY_PATH as usize
    {
        // About a descriptor, and no file that is named: the C library's fstat.
        let (fd, buffer) = (register(frame, libc::REG_RDI), register(frame, libc::REG_RDX));
        // SAFETY: the kernel checks both.
        let done = unsafe { libc::syscall(libc::SYS_fstat, fd, buffer) };
        let refused = -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
        frame.uc_mcontext.gregs[libc::REG_RAX as usize] = if done == 0 { 0 } else { refused };
        return;
    }
    let mut place = if images::at(refused.at).is_some() { refused.at } else { drivers(frame) };
    if LOOKS.contains(&number) {
        match caller(refused.at) {
            // What a library looks up on our behalf it does without: that is no fault of the driver.
            Caller::Ours => {
                frame.uc_mcontext.gregs[libc::REG_RAX as usize] = -i64::from(libc::EACCES);
                return;
            }
            Caller::Driver(at) => place = at,
            Caller::Unknown => {}
        }
    }
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

/// Who made a call.
enum Caller {
    /// A driver, there.
    Driver(usize),
    /// This program.
    Ours,
    /// A library, for nobody that can be seen.
    Unknown,
}

/// Who made the call at this instruction: whose code is the newest on the stack, behind the libraries'. What merely looks like a return
/// address will not do here, so the unwinder tells; it neither allocates nor opens anything.
fn caller(at: usize) -> Caller {
    let mut walk = Walk { at, reached: false, found: Caller::Unknown };
    // SAFETY: a function of the form that is asked for, and what it expects, which lives until this returns.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    walk.found
}

/// A walk up the stack, from the handler on.
struct Walk {
    /// The instruction behind the call.
    at: usize,
    /// It is at or behind it.
    reached: bool,
    found: Caller,
}

unsafe extern "C" {
    /// The compiler's library has these, for all languages.
    fn _Unwind_Backtrace(
        step: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        walk: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

/// Looks at one frame. Anything but 0 ends the walk.
///
/// # Safety
/// The unwinder calls it for a frame, with what [`caller`] has passed.
unsafe extern "C" fn step(frame: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: a frame of the unwinder's, which asks about it.
    let at = unsafe { _Unwind_GetIP(frame) };
    // SAFETY: what `caller` has passed, and nobody else has it.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    walk.reached |= at == walk.at;
    // Relaxed: set before there was a handler.
    let (start, end) = (OURS.0.load(Ordering::Relaxed), OURS.1.load(Ordering::Relaxed));
    walk.found = match () {
        () if !walk.reached => return 0,
        () if images::at(at).is_some() => Caller::Driver(at),
        () if (start..end).contains(&at) => Caller::Ours,
        () => return 0,
    };
    1
}

fn register(frame: &libc::ucontext_t, which: c_int) -> usize {
    frame.uc_mcontext.gregs[which as usize].cast_unsigned() as usize
}

/// The newest address of a driver's code on the stack of whoever was interrupted. 0 if there is none.
fn drivers(frame: &libc::ucontext_t) -> usize {
    stack(frame).find(|word| images::at(*word).is_some()).unwrap_or(0)
}

/// The words on the stack of whoever was interrupted, from the newest on.
fn stack(frame: &libc::ucontext_t) -> impl Iterator<Item = usize> {
    let top = frame.uc_mcontext.gregs[libc::REG_RSP as usize].cast_unsigned() as usize & !7;
    (0..REACH).map(move |word| {
        let at = ptr::with_exposed_provenance::<usize>(top + word * size_of::<usize>());
        // SAFETY: a word of the interrupted thread's stack, which is deeper than this.
        unsafe { at.read_volatile() }
    })
}

/// Takes down where this program's code is. The kernel's and the linker's first entry is the program.
///
/// # Safety
/// The linker calls it about an object.
unsafe extern "C" fn take_down(about: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the linker's word on one object, which lives until this returns.
    let about = unsafe { &*about };
    // SAFETY: its program headers, which are mapped for as long as the object is.
    let segments = unsafe { slice::from_raw_parts(about.dlpi_phdr, about.dlpi_phnum.into()) };
    let code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_X != 0
    };
    if let Some(segment) = segments.iter().find(code) {
        let start = (about.dlpi_addr + segment.p_vaddr) as usize;
        OURS.0.store(start, Ordering::Relaxed);
        OURS.1.store(start + segment.p_memsz as usize, Ordering::Relaxed);
    }
    // No further ones.
    1
}
