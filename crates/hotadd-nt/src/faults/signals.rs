//! The signal handlers. They interrupt arbitrary code and run on a small stack of their own. They read registers,
//! write only to memory that is reserved for them, and take no lock.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use libc::{siginfo_t, ucontext_t};

use super::cause::{Cause, How};
use super::decode::{Bytes, Instruction, Operand, decode};
use super::divert::{Raised, Written, divert};
use super::monitor::{self, ASKED};
use super::shared;
use crate::ground::abi::Abi;
use crate::ground::context::{Context, RCX};
use crate::ground::images::{self, Image};
use crate::ground::thread::{self, Own};
use crate::ground::undisturbed;

/// The signals that a processor raises.
const FAULTS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// The handlers that were installed before.
static BEFORE: [OnceLock<libc::sigaction>; FAULTS.len()] =
    [const { OnceLock::new() }; FAULTS.len()];

/// An access up to this far below a stack counts as its overflow: a function's locals may skip the first guard page.
const BELOW: usize = 256 * 1024;

/// Why a thread stopped, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) cause: Cause,
    pub(crate) rip: usize,
    pub(crate) rsp: usize,
    /// The limits of its stack.
    pub(crate) stack: (usize, usize),
    /// The function of this crate in which it waits.
    pub(crate) waits_in: Option<&'static str>,
}

/// The only report of this process: that of the first fault.
pub(super) struct Slot {
    /// 0 free, 1 being written, 2 written, 3 read.
    state: AtomicU32,
    report: UnsafeCell<MaybeUninit<Report>>,
}

// SAFETY: one thread writes the report between states 0 and 2, and one thread reads it after state 2.
unsafe impl Sync for Slot {}

pub(super) static REPORT: Slot =
    Slot { state: AtomicU32::new(0), report: UnsafeCell::new(MaybeUninit::uninit()) };

impl Slot {
    /// The report. It can be taken only once.
    pub(super) fn taken(&self) -> Option<Report> {
        // Acquire: pairs with the release in `stop`.
        self.state.compare_exchange(2, 3, Ordering::Acquire, Ordering::Relaxed).ok()?;
        // SAFETY: the state was 2, so `stop` has finished writing. It is now 3, so nothing else reads or writes it
        // any more.
        let report = unsafe { &*self.report.get() };
        // SAFETY: `stop` writes a whole report before the state becomes 2.
        Some(unsafe { report.assume_init() })
    }
}

impl Report {
    /// A report for the current thread.
    pub(crate) fn new(cause: Cause, context: &Context) -> Self {
        let stack = thread::existing().map_or((0, 0), |own| own.watched.stack.get());
        Self {
            cause,
            rip: context.rip as usize,
            rsp: context.rsp(),
            stack,
            waits_in: thread::waits_in(),
        }
    }

    /// Submits the report, and stops this thread forever. May be called from a signal handler.
    pub(crate) fn stop(self) -> ! {
        if REPORT.state.compare_exchange(0, 1, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // SAFETY: the exchange succeeds for one thread only.
            unsafe { REPORT.report.get().write(MaybeUninit::new(self)) };
            // Release: the monitor sees what was written.
            REPORT.state.store(2, Ordering::Release);
            monitor::wake();
        }
        loop {
            // `pause()` is not used because the sandbox does not allow it.
            // SAFETY: no descriptors are passed, and no time.
            unsafe { libc::poll(ptr::null_mut(), 0, -1) };
        }
    }
}

/// Installs all handlers.
pub(super) fn install() -> io::Result<()> {
    for (signal, before) in FAULTS.into_iter().zip(&BEFORE) {
        let old = handle(signal, on_fault)?;
        let _ = before.set(old);
    }
    handle(undisturbed::asking(), on_ask).map(drop)
}

type Handler = unsafe extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

fn handle(signal: c_int, handler: Handler) -> io::Result<libc::sigaction> {
    // SAFETY: the structure has numbers, flags and addresses, for all of which zero is valid.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: the set is in the structure.
    unsafe { libc::sigemptyset(&raw mut action.sa_mask) };
    let mut old = MaybeUninit::uninit();
    // SAFETY: the handler has the right signature, and `old` is memory for the old action.
    if unsafe { libc::sigaction(signal, &raw const action, old.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `sigaction` has filled it.
    Ok(unsafe { old.assume_init() })
}

/// # Safety
/// The kernel calls it, as the handler of one of [`FAULTS`].
unsafe extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    // SAFETY: the kernel has put it on this handler's stack, where it stays until the handler returns.
    let about = unsafe { &*info };
    // SAFETY: the kernel has put it on the same stack. Nothing else has its address, and the kernel reads it after
    // the handler has returned.
    let saved = unsafe { &mut *frame.cast::<ucontext_t>() };
    let mut context = Context::interrupted(saved);
    let own = thread::existing();
    let image = images::at(context.rip as usize);
    let driver = image.is_some() || own.is_some_and(|own| own.calls.get() > 0);
    // A signal that another process sent is not the driver's fault.
    if !driver || about.si_code <= 0 {
        // SAFETY: these are this handler's own arguments.
        return unsafe { chain(signal, info, frame) };
    }
    let trap = Trap {
        signal,
        code: about.si_code,
        // SAFETY: the signal of a fault has an address, or 0.
        at: unsafe { about.si_addr() } as usize,
        error: saved.uc_mcontext.gregs[libc::REG_ERR as usize].cast_unsigned(),
        stack: own.map_or((0, 0), |own| own.watched.stack.get()),
    };
    let cause = match trap.judge(image, own, &mut context) {
        Verdict::GoOn => return context.resume(saved),
        Verdict::WriteIrql(level) => {
            let registers = context;
            let written = image.map(|image| image.services.write_irql);
            let written = written.map(|write| Written { context: registers, level, write });
            if written.is_some_and(|written| divert(&mut context, trap.stack, written)) {
                return context.resume(saved);
            }
            Cause::StackOverflow
        }
        Verdict::Fault(cause) => cause,
    };
    // If a function of this crate faults on memory that a driver passed to it, its caller gets the fault.
    let caught = own.map_or(ptr::null(), |own| own.watched.caught.replace(ptr::null()));
    // SAFETY: the pointer is null, or points further up this stack, into a function that has not returned.
    let caught = unsafe { caught.as_ref() }.filter(|_| image.is_none());
    let origin = *caught.unwrap_or(&context);
    let rip = origin.rip as usize;
    let report = Report::new(cause, &context);
    let unwindable = images::at(rip).filter(|image| image.abi == Abi::Win64);
    let Some((record, image)) = cause.record(rip).zip(unwindable) else { report.stop() };
    let raised = Raised { context: origin, record, report, dispatch: image.services.dispatch };
    if !divert(&mut context, trap.stack, raised) {
        report.stop();
    }
    context.resume(saved);
}

/// What happens to a thread.
enum Verdict {
    /// It continues with the current registers.
    GoOn,
    /// It sets its IRQL, and then continues.
    WriteIrql(u8),
    Fault(Cause),
}

/// What a signal says about a fault.
struct Trap {
    signal: c_int,
    code: c_int,
    at: usize,
    error: u64,
    stack: (usize, usize),
}

impl Trap {
    /// Decides what happens to the thread.
    fn judge(&self, image: Option<&Image>, own: Option<&Own>, context: &mut Context) -> Verdict {
        let how = match self.error {
            error if error & 1 << 4 != 0 => How::Executing,
            error if error & 1 << 1 != 0 => How::Writing,
            _ => How::Reading,
        };
        // An instruction that could not be fetched cannot be read, and this crate's own code needs no emulation.
        let readable = image.is_some() && (how != How::Executing || self.signal != libc::SIGSEGV);
        let (instruction, length) =
            if readable { instruction(context) } else { (Instruction::Other, 0) };
        match (self.signal, instruction) {
            (libc::SIGSEGV | libc::SIGBUS, _) if self.code != libc::SI_KERNEL => {
                self.access(how, instruction, length, context)
            }
            (libc::SIGSEGV, Instruction::ReadIrql { register }) => {
                context.general[register] = own.map_or(0, |own| u64::from(own.irql.get()));
                context.rip += length;
                Verdict::GoOn
            }
            (libc::SIGSEGV, Instruction::WriteIrql { register }) => {
                context.rip += length;
                Verdict::WriteIrql(context.general[register] as u8 & 15)
            }
            // There are no interrupts to disable.
            (libc::SIGSEGV, Instruction::Interrupts) => {
                context.rip += length;
                Verdict::GoOn
            }
            (libc::SIGSEGV, Instruction::Interrupt(0x29)) => {
                Verdict::Fault(Cause::FastFail(context.general[RCX] as u32))
            }
            (libc::SIGSEGV, Instruction::Interrupt(0x2c)) => Verdict::Fault(Cause::Assertion),
            (libc::SIGSEGV, Instruction::Interrupt(number)) => {
                Verdict::Fault(Cause::Interrupt(number))
            }
            (libc::SIGSEGV | libc::SIGILL, Instruction::Privileged(name)) => {
                Verdict::Fault(Cause::Privileged(name))
            }
            (libc::SIGSEGV | libc::SIGBUS, _) => {
                Verdict::Fault(Cause::Access { how: How::Reading, at: None })
            }
            (libc::SIGFPE, Instruction::Divide(by)) if divisor(by) != 0 => {
                Verdict::Fault(Cause::DivideOverflow)
            }
            (libc::SIGFPE, _) if self.code == FPE_INTDIV => Verdict::Fault(Cause::DivideByZero),
            (libc::SIGFPE, _) => Verdict::Fault(Cause::FloatingPoint),
            (libc::SIGTRAP, _) if self.code == TRAP_TRACE => Verdict::Fault(Cause::SingleStep),
            (libc::SIGTRAP, _) => {
                // The processor is already past the instruction.
                context.rip -= 1;
                Verdict::Fault(Cause::Breakpoint)
            }
            _ => Verdict::Fault(Cause::Illegal),
        }
    }

    /// As `judge`, for an access to an address.
    fn access(
        &self,
        how: How,
        instruction: Instruction,
        length: u64,
        context: &mut Context,
    ) -> Verdict {
        let at = self.at;
        if let Some(name) = images::all().find_map(|image| image.missing.at(at)) {
            return Verdict::Fault(Cause::Missing { how, name });
        }
        if let Some(offset) = shared::offset(at) {
            return match instruction {
                Instruction::Load(load) if shared::load(load, offset, context) => {
                    context.rip += length;
                    Verdict::GoOn
                }
                _ => Verdict::Fault(Cause::Shared { how, offset }),
            };
        }
        let (low, high) = self.stack;
        let below = |address: usize| low != 0 && address < low && low - address <= BELOW;
        // In an overflow both addresses are near the end of the stack: that of the access, and the stack pointer.
        let overflow = below(at)
            && (below(context.rsp()) || (low..(low + BELOW).min(high)).contains(&context.rsp()));
        Verdict::Fault(if overflow {
            Cause::StackOverflow
        } else {
            Cause::Access { how, at: Some(at) }
        })
    }
}

const FPE_INTDIV: c_int = 1;
const TRAP_TRACE: c_int = 2;

/// The instruction at the registers' instruction pointer.
fn instruction(context: &Context) -> (Instruction, u64) {
    let byte = |at: u64| {
        let address = ptr::with_exposed_provenance::<u8>((context.rip + at) as usize);
        // SAFETY: the processor has fetched this instruction, and no byte beyond its end is requested.
        unsafe { address.read_volatile() }
    };
    decode(Bytes::new(byte), context)
}

/// The divisor of a division.
fn divisor(by: Operand) -> u64 {
    let mut value = by.value.to_le_bytes();
    if by.in_memory {
        let from = ptr::with_exposed_provenance::<u8>(by.value as usize);
        value = [0; 8];
        // SAFETY: the processor read this many bytes from there before it divided.
        unsafe { from.copy_to_nonoverlapping(value.as_mut_ptr(), by.width) };
    }
    value[by.width..].fill(0);
    u64::from_le_bytes(value)
}

/// # Safety
/// The kernel calls it, as the handler of [`undisturbed::asking`].
unsafe extern "C" fn on_ask(_: c_int, _: *mut siginfo_t, frame: *mut c_void) {
    // The numbers are compared because the thread may have gone on to other work in the meantime.
    let asked = ASKED.load(Ordering::Relaxed);
    if thread::existing().is_none_or(|own| asked == 0 || own.watched.watch.get() != asked) {
        return;
    }
    if undisturbed::postpones() {
        return;
    }
    // SAFETY: the kernel has put it on this handler's stack, where it stays until the handler returns.
    let context = Context::interrupted(unsafe { &*frame.cast::<ucontext_t>() });
    let limit = Duration::from_millis(LIMIT.load(Ordering::Relaxed));
    Report::new(Cause::Overdue(limit), &context).stop();
}

/// The time limit of the thread that is asked, in milliseconds.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Asks a thread for its position.
pub(super) fn ask(thread: rustix::thread::Pid, limit: Duration) {
    LIMIT.store(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    let process = rustix::process::getpid().as_raw_nonzero().get();
    let thread = thread.as_raw_nonzero().get();
    // SAFETY: the signal has a handler, and goes to a thread of this process. If the thread has ended, no thread gets
    // it.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, undisturbed::asking()) };
}

/// Does what would happen without this handler.
///
/// # Safety
/// These are the arguments of a signal handler that has not returned.
unsafe fn chain(signal: c_int, info: *mut siginfo_t, frame: *mut c_void) {
    let place = FAULTS.iter().position(|fault| *fault == signal);
    let before = place.and_then(|place| BEFORE[place].get());
    match before.map(|before| (before.sa_sigaction, before.sa_flags)) {
        None | Some((libc::SIG_DFL | libc::SIG_IGN, _)) => {
            // SAFETY: this restores the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
            // SAFETY: `info` is valid as long as the handler runs. A fault of the processor recurs by itself; a
            // signal that was sent does not.
            if unsafe { (*info).si_code } <= 0 {
                // SAFETY: the signal goes to this thread, which takes it when the handler returns.
                unsafe { libc::raise(signal) };
            }
        }
        Some((handler, flags)) if flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: it was installed as a handler of this form.
            let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
            // SAFETY: these are the kernel's own arguments for a handler of this form.
            unsafe { handler(signal, info, frame) };
        }
        Some((handler, _)) => {
            // SAFETY: it was installed as a handler of this form.
            let handler = unsafe { std::mem::transmute::<usize, extern "C" fn(c_int)>(handler) };
            handler(signal);
        }
    }
}
