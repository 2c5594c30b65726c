//! The exports for exceptions: raising them, unwinding, and accessing memory that may be unmapped.

use std::arch::{asm, naked_asm};
use std::ffi::c_void;
use std::ptr;

use hotadd::Status;

use super::dispatch::{self, Dispatcher, NONCONTINUABLE};
use super::raise::caught;
use super::scopes;
use super::unwind;
use crate::faults::{Cause, Report};
use crate::ground::calls::{self, call_before};
use crate::ground::context::{Context, RSP, Record, restore};
use crate::ground::declare::sizes;
use crate::ground::export::{Export, Sizes, What};
use crate::ground::foreign::{In, Out};
use crate::ground::memory::PAGE;
use crate::ground::{images, thread};

const ACCESS_VIOLATION: u32 = 0xC000_0005;
const MISALIGNMENT: u32 = 0x8000_0002;
const BREAKPOINT: u32 = 0x8000_0003;
const UNWIND: u32 = 0xC000_0027;

/// The end of the addresses that a program may have. Addresses from here on belong to the kernel.
const USER_END: usize = 0x7FFF_FFFF_0000;

/// Declares the exports of this file, which behave differently in the two conventions: only a `.sys` can handle
/// exceptions. Exports for handling exceptions are unavailable to a native driver.
macro_rules! exports {
    (both: $(fn $both:ident($($type:ty),*) $(-> $return:ty)?;)* sys: $($sys:ident)*) => {
        /// The exports of this file.
        pub(crate) static EXPORTS: &[Export] = &[
            $(Export {
                name: stringify!($both),
                what: What::Function {
                    win64: win64::$both as *const c_void,
                    sysv: {
                        let typed: unsafe extern "C" fn($($type),*) $(-> $return)? = sysv::$both;
                        typed as *const c_void
                    },
                },
                sizes: sizes!($($type),* $(; $return)?),
            },)*
            $(Export {
                name: stringify!($sys),
                what: What::Function { win64: win64::$sys as *const c_void, sysv: ptr::null() },
                sizes: Sizes::UNDECLARED,
            },)*
        ];
    };
}

exports! {
    both:
        fn DbgBreakPoint();
        fn ExRaiseAccessViolation();
        fn ExRaiseDatatypeMisalignment();
        fn ExRaiseStatus(u32);
        fn ProbeForRead(usize, usize, u32);
        fn ProbeForWrite(usize, usize, u32);
        fn RtlCaptureStackBackTrace(u32, u32, Out<usize>, Out<u32>) -> u16;
        fn RtlRaiseException(In<Record>);
        fn RtlRaiseStatus(u32);
    sys: __C_specific_handler __chkstk _local_unwind RtlCaptureContext RtlLookupFunctionEntry RtlRestoreContext RtlUnwind
        RtlUnwindEx RtlVirtualUnwind
}

/// Lets the calling driver handle an exception, or reports it at the place of the call.
fn raise(context: &mut Context, mut record: Record) {
    record.address = context.rip as usize;
    dispatch::dispatch(&mut record, context);
    if let Some(call) = call_before(context.rip as usize) {
        context.rip = call.at as u64;
    }
    let cause = match record.code {
        BREAKPOINT => Cause::Breakpoint,
        code => Cause::Raised(Status::from_raw(code)),
    };
    Report::new(cause, context).stop()
}

fn raise_status(context: &mut Context, code: u32) {
    let mut record = Record::new(code, 0);
    record.flags = NONCONTINUABLE;
    raise(context, record);
}

/// The status for a program's address range that is misaligned or out of bounds. It is not checked whether the memory
/// is mapped.
fn wrong(address: usize, length: usize, alignment: u32) -> Option<u32> {
    if length == 0 {
        return None;
    }
    if alignment.is_power_of_two() && !address.is_multiple_of(alignment as usize) {
        return Some(MISALIGNMENT);
    }
    match address.checked_add(length) {
        Some(end) if end <= USER_END => None,
        _ => Some(ACCESS_VIOLATION),
    }
}

extern "sysv64" fn on_status(context: &mut Context, status: u32) {
    raise_status(context, status);
}

extern "sysv64" fn on_access_violation(context: &mut Context) {
    raise_status(context, ACCESS_VIOLATION);
}

extern "sysv64" fn on_misalignment(context: &mut Context) {
    raise_status(context, MISALIGNMENT);
}

extern "sysv64" fn on_breakpoint(context: &mut Context) {
    raise(context, Record::new(BREAKPOINT, 0));
}

extern "sysv64" fn on_exception(context: &mut Context, record: In<Record>) {
    raise(context, record.get());
}

extern "sysv64" fn on_probe(context: &mut Context, address: usize, length: usize, alignment: u32) {
    if let Some(code) = wrong(address, length, alignment) {
        raise_status(context, code);
    }
}

extern "sysv64" fn on_probe_for_writing(
    context: &mut Context,
    address: usize,
    length: usize,
    alignment: u32,
) {
    on_probe(context, address, length, alignment);
    thread::own().watched.catch(context, || touch(address, length));
}

/// Writes a byte of every page, without changing its value.
fn touch(address: usize, length: usize) {
    let end = address + length;
    let pages = ((address + 1).next_multiple_of(PAGE)..end).step_by(PAGE);
    for at in (length != 0).then_some(address).into_iter().chain(pages) {
        // SAFETY: an access to unmapped memory faults, and the fault is the driver's, as this function has no state
        // that an interruption would damage. It is not an atomic operation of Rust, because that would become a load.
        unsafe { asm!("lock or byte ptr [{at}], 0", at = in(reg) at, options(nostack)) };
    }
}

extern "sysv64" fn on_capture(context: &mut Context, to: Out<Context>) {
    to.put(*context);
}

extern "sysv64" fn on_back_trace(
    context: &mut Context,
    skip: u32,
    count: u32,
    to: Out<usize>,
    hash: Out<u32>,
) -> u16 {
    store_trace(&dispatch::trace(context, most_frames(skip, count)), skip, to, hash)
}

/// How many frames are needed to skip some and return others.
fn most_frames(skip: u32, count: u32) -> usize {
    (skip as usize).saturating_add(count.min(u16::MAX.into()) as usize)
}

/// Stores the addresses of a trace and their sum. Returns how many there are.
fn store_trace(trace: &[usize], skip: u32, to: Out<usize>, hash: Out<u32>) -> u16 {
    let found = trace.get(skip as usize..).unwrap_or_default();
    to.put_all(found);
    let sum = found.iter().fold(0_u32, |sum, address| sum.wrapping_add(*address as u32));
    hash.put_if_wanted(sum);
    u16::try_from(found.len()).unwrap_or(u16::MAX)
}

extern "sysv64" fn on_unwind(
    context: &mut Context,
    frame: u64,
    at: usize,
    record: In<Record>,
    value: u64,
) {
    let record = record.non_null().map(In::get);
    let mut record = record.unwrap_or_else(|| Record::new(UNWIND, context.rip as usize));
    dispatch::unwind(frame, at, &mut record, value, context);
}

extern "sysv64" fn on_local_unwind(context: &mut Context, frame: u64, at: usize) {
    // SAFETY: null stands for no record.
    let none = unsafe { In::new(ptr::null()) };
    on_unwind(context, frame, at, none, 0);
}

/// The exports for a `.sys`.
#[expect(non_snake_case, reason = "the documentation's names")]
mod win64 {
    use super::*;

    caught! {
        fn ExRaiseStatus = on_status;
        fn RtlRaiseStatus = on_status;
        fn ExRaiseAccessViolation = on_access_violation;
        fn ExRaiseDatatypeMisalignment = on_misalignment;
        fn RtlRaiseException = on_exception;
        fn DbgBreakPoint = on_breakpoint;
        fn ProbeForRead = on_probe;
        fn ProbeForWrite = on_probe_for_writing;
        fn RtlCaptureContext = on_capture;
        fn RtlCaptureStackBackTrace = on_back_trace;
        fn RtlUnwind = on_unwind;
        fn RtlUnwindEx = on_unwind;
        fn _local_unwind = on_local_unwind;
    }

    pub(super) unsafe extern "win64" fn __C_specific_handler(
        record: Out<Record>,
        establisher: u64,
        context: Out<Context>,
        dispatcher: Out<Dispatcher>,
    ) -> i32 {
        scopes::handle(record, establisher, context, dispatcher)
    }

    pub(super) unsafe extern "win64" fn RtlRestoreContext(context: In<Context>, _: In<Record>) {
        let context = context.get();
        // SAFETY: the driver guarantees that these registers can be continued, and nothing here is needed any more.
        unsafe { restore(&raw const context) }
    }

    pub(super) unsafe extern "win64" fn RtlLookupFunctionEntry(
        control: usize,
        base: Out<usize>,
        _: *mut c_void,
    ) -> *const c_void {
        let Some(image) = images::at(control) else { return ptr::null() };
        base.put(image.base);
        match unwind::lookup(image, control) {
            Some(function) => ptr::with_exposed_provenance(image.base + function.entry),
            None => ptr::null(),
        }
    }

    /// Unwinds one frame. Returns its handler if the handler is of the requested kind (1 for searching, 2 for
    /// unwinding).
    pub(super) unsafe extern "win64" fn RtlVirtualUnwind(
        kind: u32,
        _: usize,
        control: usize,
        _: *const c_void,
        context: Out<Context>,
        data: Out<usize>,
        establisher: Out<u64>,
        _: *mut c_void,
    ) -> *const c_void {
        let (low, high) = thread::own().watched.limits();
        let stack = unwind::Stack { low, high };
        let Some(image) = images::at(control) else { return ptr::null() };
        let mut registers = context.get();
        registers.rip = control as u64;
        let frame = registers.general[RSP];
        let unwound = match unwind::lookup(image, control) {
            Some(function) => unwind::step(image, function, &mut registers, stack),
            None => unwind::leaf(&mut registers, stack)
                .map(|()| unwind::Frame { establisher: frame, handler: None }),
        };
        if unwound.is_err() {
            // A caller that gives up expects this.
            registers.rip = 0;
        }
        context.put(registers);
        let Ok(unwound) = unwound else { return ptr::null() };
        establisher.put(unwound.establisher);
        let asked = |handler: &unwind::Handler| {
            kind & 1 != 0 && handler.searching || kind & 2 != 0 && handler.unwinding
        };
        let Some(handler) = unwound.handler.filter(asked) else { return ptr::null() };
        data.put(handler.data);
        ptr::with_exposed_provenance(handler.address)
    }

    /// Touches page by page the stack that a function is about to use: `rax` bytes. All registers are preserved.
    #[unsafe(naked)]
    pub(super) unsafe extern "win64" fn __chkstk() {
        naked_asm!(
            "push rcx",
            "push rax",
            "lea rcx, [rsp + 24]",
            "2:",
            "cmp rax, 0x1000",
            "jb 3f",
            "sub rcx, 0x1000",
            "or dword ptr [rcx], 0",
            "sub rax, 0x1000",
            "jmp 2b",
            "3:",
            "sub rcx, rax",
            "or dword ptr [rcx], 0",
            "pop rax",
            "pop rcx",
            "ret",
        )
    }
}

/// The exports for a native driver. Its compiler has no exceptions, so whatever is raised is a fault at that place.
mod sysv {
    use super::*;

    /// Reports an exception of the caller.
    fn fault(cause: Cause) -> ! {
        let mut context = Context::zero();
        context.general[RSP] = &raw const context as u64;
        Report::new(cause, &context).stop()
    }

    fn raised(code: u32) -> ! {
        fault(Cause::Raised(Status::from_raw(code)))
    }

    macro_rules! exported {
        ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $return:ty)? $body:block)*) => {$(
            #[unsafe(no_mangle)]
            pub(super) unsafe extern "C" fn $name($($argument: $type),*) $(-> $return)? $body
        )*};
    }

    exported! {
        fn ExRaiseStatus(status: u32) { raised(status) }
        fn RtlRaiseStatus(status: u32) { raised(status) }
        fn ExRaiseAccessViolation() { raised(ACCESS_VIOLATION) }
        fn ExRaiseDatatypeMisalignment() { raised(MISALIGNMENT) }
        fn RtlCaptureStackBackTrace(skip: u32, count: u32, to: Out<usize>, hash: Out<u32>) -> u16 {
            store_trace(&calls::returns(most_frames(skip, count)), skip, to, hash)
        }
        fn RtlRaiseException(record: In<Record>) { raised(record.get().code) }
        fn DbgBreakPoint() { fault(Cause::Breakpoint) }
        fn ProbeForRead(address: usize, length: usize, alignment: u32) { probe(address, length, alignment) }
        fn ProbeForWrite(address: usize, length: usize, alignment: u32) {
            probe(address, length, alignment);
            touch(address, length);
        }
    }

    fn probe(address: usize, length: usize, alignment: u32) {
        if let Some(code) = wrong(address, length, alignment) {
            raised(code);
        }
    }
}
