//! Handles a forbidden system call: the kernel sends SIGSYS, and the call is reported by name.

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
    /// The instruction after the call.
    at: usize,
    number: c_int,
}

/// The first refused call, and the place of the call. A signal handler writes it; a waiting thread reads it.
static CALL: AtomicI64 = AtomicI64::new(NONE);
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// The range of this program's code.
static OURS: (AtomicUsize, AtomicUsize) = (AtomicUsize::new(0), AtomicUsize::new(0));

/// Calls that look something up in the file system. The C library makes them on its own account, for reasons that
/// differ between its versions.
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

/// No call was refused yet.
const NONE: i64 = i64::MIN;

/// The thread that waits for a refused call.
static TELLER: OnceLock<Thread> = OnceLock::new();

/// How far up the stack, in words, the driver's call is searched: over the C library's own frames. A thread's own stack has
/// that many words, because the frames that started the thread are further up. A signal stack may end earlier.
const REACH: usize = 256;

/// Installs the reporting of forbidden calls.
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
    // SAFETY: the function has the required signature.
    unsafe { libc::dl_iterate_phdr(Some(take_down), ptr::null_mut()) };
    // The thread's start allocates, and a call of the driver must not stop it halfway.
    let _ = waits.recv();
    type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    let handler: Handler = forbidden;
    // SAFETY: all zeros are a valid action.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    // The handler runs on the caller's stack, which has enough room. The signal stack may have room for little
    // besides registers.
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the signature that SA_SIGINFO requires.
    if unsafe { libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut()) } != 0 {
        return Err(SandboxError::last("signals"));
    }
    Ok(())
}

/// Records the call and stops this thread, unless the driver is not involved. The handler may run while the C library
/// holds its locks, as in fork. It may run on a stack that has room for little more than the registers, as when the C
/// library makes all threads change their user.
///
/// # Safety
/// The kernel calls it, as the handler of SIGSYS.
unsafe extern "C" fn forbidden(_: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    // SAFETY: the kernel passes this form for this signal; it lives until the handler returns.
    let refused = unsafe { &*info.cast::<Refused>() };
    // SAFETY: the kernel has put the registers on this handler's stack. Nothing else uses them until the handler
    // returns.
    let frame = unsafe { &mut *frame.cast::<libc::ucontext_t>() };
    let number = i64::from(refused.number);
    if number == libc::SYS_newfstatat
        && register(frame, libc::REG_R10) == libc::AT_EMPTY_PATH as usize
    {
        // The call is about a descriptor, not a path: this is the C library's fstat.
        let (fd, buffer) = (register(frame, libc::REG_RDI), register(frame, libc::REG_RDX));
        // SAFETY: the kernel checks both arguments.
        let done = unsafe { libc::syscall(libc::SYS_fstat, fd, buffer) };
        let refused = -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0));
        frame.uc_mcontext.gregs[libc::REG_RAX as usize] = if done == 0 { 0 } else { refused };
        return;
    }
    let mut place = if images::at(refused.at).is_some() { refused.at } else { drivers(frame) };
    if LOOKS.contains(&number) {
        match caller(refused.at) {
            // A library that looks something up for this program must do without it. That is not a fault of the driver.
            Caller::Ours => {
                frame.uc_mcontext.gregs[libc::REG_RAX as usize] = -i64::from(libc::EACCES);
                return;
            }
            Caller::Driver(at) => place = at,
            Caller::Unknown => {}
        }
    }
    // Other threads may make the call as well, on behalf of this one. The place in the driver is the relevant one.
    if place != 0 {
        PLACE.store(place, Ordering::Relaxed);
    }
    // Release: a thread that sees the call also sees its place.
    let _ = CALL.compare_exchange(NONE, number, Ordering::Release, Ordering::Relaxed);
    if let Some(teller) = TELLER.get() {
        teller.unpark();
    }
    loop {
        // SAFETY: no conditions.
        unsafe { libc::pause() };
    }
}

/// Waits for a refused call, reports it, and ends the process.
fn wait(tell: &Tell) {
    let number = loop {
        // Acquire: pairs with the release above.
        match CALL.load(Ordering::Acquire) {
            NONE => std::thread::park(),
            number => break number,
        }
    };
    let sysno = usize::try_from(number).ok().and_then(Sysno::new);
    let name = sysno.map_or("of unknown name", |sysno| sysno.name());
    let (status, what) = (Status::ACCESS_DENIED, "which its sandbox forbids");
    match images::place(PLACE.load(Ordering::Relaxed)) {
        Some(place) => {
            tell(status, format_args!("makes the system call {name}, {what}, at {place}"));
        }
        None => tell(status, format_args!("makes the system call {name}, {what}")),
    }
    std::process::abort()
}

/// Blocks all signals on this thread. When the C library changes the user, it signals all threads to make the call
/// too. It lets no caller block that signal, so this uses the kernel's call.
fn deafen() {
    let all = u64::MAX;
    // SAFETY: the mask has eight bytes, which is the size that is passed.
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

/// Which code made a call.
enum Caller {
    /// A driver, at this address.
    Driver(usize),
    /// This program.
    Ours,
    /// A library, on behalf of no visible caller.
    Unknown,
}

/// Finds which code made the call at this instruction: the newest on the stack that is not a library's. Words that
/// only look like return addresses are not reliable enough here, so this uses the unwinder. It neither allocates nor
/// opens anything.
fn caller(at: usize) -> Caller {
    let mut walk = Walk { at, reached: false, found: Caller::Unknown };
    // SAFETY: the function has the required signature, and its argument lives until this returns.
    unsafe { _Unwind_Backtrace(step, (&raw mut walk).cast()) };
    walk.found
}

/// A walk up the stack, starting at the handler.
struct Walk {
    /// The instruction after the call.
    at: usize,
    /// Whether the walk has reached that instruction.
    reached: bool,
    found: Caller,
}

unsafe extern "C" {
    /// The compiler's runtime library provides these for all languages.
    fn _Unwind_Backtrace(
        step: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        walk: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(frame: *mut c_void) -> usize;
}

/// Examines one frame. Any result but 0 ends the walk.
///
/// # Safety
/// The unwinder calls it for a frame, with the argument that [`caller`] has passed.
unsafe extern "C" fn step(frame: *mut c_void, walk: *mut c_void) -> c_int {
    // SAFETY: the unwinder passes one of its own frames.
    let at = unsafe { _Unwind_GetIP(frame) };
    // SAFETY: `caller` has passed it, and nothing else uses it.
    let walk = unsafe { &mut *walk.cast::<Walk>() };
    walk.reached |= at == walk.at;
    // Relaxed: the range was set before the handler was installed.
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

/// The newest address of a driver's code on the interrupted thread's stack. 0 if there is none.
fn drivers(frame: &libc::ucontext_t) -> usize {
    stack(frame).find(|word| images::at(*word).is_some()).unwrap_or(0)
}

/// The words on the interrupted thread's stack, newest first.
fn stack(frame: &libc::ucontext_t) -> impl Iterator<Item = usize> {
    let top = register(frame, libc::REG_RSP) & !7;
    let signals = &frame.uc_stack;
    let start = signals.ss_sp.addr();
    let end = start.saturating_add(signals.ss_size);
    let is_on_it = signals.ss_flags & libc::SS_DISABLE == 0 && (start..end).contains(&top);
    // When the C library makes all threads change their user, their calls come from their signal stacks.
    let words = if is_on_it { REACH.min((end - top) / size_of::<usize>()) } else { REACH };
    (0..words).map(move |word| {
        let at = ptr::with_exposed_provenance::<usize>(top + word * size_of::<usize>());
        // SAFETY: it is a word of the interrupted thread's stack, which has that many, see `REACH`.
        unsafe { at.read_volatile() }
    })
}

/// Records the range of this program's code. The first entry of the kernel and the linker is the program.
///
/// # Safety
/// The linker calls it for an object.
unsafe extern "C" fn take_down(about: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the linker passes a description of one object, which lives until this returns.
    let about = unsafe { &*about };
    // SAFETY: these are its program headers, which are mapped as long as the object is.
    let segments = unsafe { slice::from_raw_parts(about.dlpi_phdr, about.dlpi_phnum.into()) };
    let code = |segment: &&libc::Elf64_Phdr| {
        segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_X != 0
    };
    if let Some(segment) = segments.iter().find(code) {
        let start = (about.dlpi_addr + segment.p_vaddr) as usize;
        OURS.0.store(start, Ordering::Relaxed);
        OURS.1.store(start + segment.p_memsz as usize, Ordering::Relaxed);
    }
    // Stops after the first entry.
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

    #[test]
    fn a_search_of_a_signal_stack_ends_with_it() {
        let (page, private) = (4096, MapFlags::PRIVATE);
        // SAFETY: this makes a new mapping.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), 2 * page, ProtFlags::READ, private) };
        let start = start.expect("two pages");
        let end = start.wrapping_byte_add(page);
        // SAFETY: the second page was mapped above, and nothing uses it.
        unsafe { munmap(end, page) }.expect("nothing is behind the first page");
        // SAFETY: all zeros are a valid context.
        let mut frame: libc::ucontext_t = unsafe { MaybeUninit::zeroed().assume_init() };
        frame.uc_stack = libc::stack_t { ss_sp: start, ss_flags: 0, ss_size: page };
        let words = |frame: &mut libc::ucontext_t, from_end: usize| {
            let top = end.expose_provenance() - from_end;
            frame.uc_mcontext.gregs[libc::REG_RSP as usize] =
                i64::try_from(top).expect("an address");
            stack(frame).count()
        };
        assert_eq!(words(&mut frame, 24), 3, "three words are left");
        assert_eq!(words(&mut frame, page), REACH, "the page is larger than the search");
        let outside = page - REACH * size_of::<usize>();
        frame.uc_stack.ss_size = outside;
        assert_eq!(words(&mut frame, page - outside), REACH, "this is the thread's own stack");
        // SAFETY: it was mapped above, and nothing uses it.
        unsafe { munmap(start, page) }.expect("it is given back");
    }
}
