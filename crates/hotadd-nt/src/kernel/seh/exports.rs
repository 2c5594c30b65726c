//! What drivers call about exceptions: raising them, unwinding, and looking at memory that may not be there.

use std::arch::{asm, naked_asm};
use std::ffi::c_void;
use std::ptr;

use hotadd::Status;

use super::dispatch::{self, Dispatcher, NONCONTINUABLE};
use super::raise::caught;
use super::scopes;
use super::unwind;
use crate::faults::{Cause, Report};
use crate::ground::calls::call_before;
use crate::ground::context::{Context, RSP, Record, restore};
use crate::ground::export::{Export, What};
use crate::ground::foreign::{In, Out};
use crate::ground::memory::PAGE;
use crate::ground::{images, thread};

const ACCESS_VIOLATION: u32 = 0xC000_0005;
const MISALIGNMENT: u32 = 0x8000_0002;
const BREAKPOINT: u32 = 0x8000_0003;
const UNWIND: u32 = 0xC000_0027;

/// The end of what a program may have: from there on, addresses are the kernel's.
const USER_END: usize = 0x7FFF_FFFF_0000;

/// A function in both conventions.
const fn function(name: &'static str, win64: *const c_void, sysv: *const c_void) -> Export {
    Export { name, what: What::Function { win64, sysv } }
}

/// Declares the exports of this file, whose two conventions do different things: only a `.sys` can handle exceptions. What is
/// about handling them a native driver does not find.
macro_rules! exports {
    (both: $($both:ident)*, sys: $($sys:ident)*) => {
        /// What this file declares.
        pub(crate) static EXPORTS: &[Export] = &[
            $(function(stringify!($both), win64::$both as *const c_void, sysv::$both as *const c_void),)*
            $(function(stringify!($sys), win64::$sys as *const c_void, ptr::null()),)*
        ];
    };
}

exports! {
    both: DbgBreakPoint ExRaiseAccessViolation ExRaiseDatatypeMisalignment ExRaiseStatus ProbeForRead ProbeForWrite
        RtlRaiseException RtlRaiseStatus,
    sys: __C_specific_handler __chkstk _local_unwind RtlCaptureContext RtlLookupFunctionEntry RtlRestoreContext RtlUnwind
        RtlUnwindEx RtlVirtualUnwind
}

/// Lets the driver that called handle an exception, or reports it where it called.
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

/// What is wrong with memory of a program's: how it lies, or where. Whether it is there is not asked.
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

/// Writes what is there, a byte of every page.
fn touch(address: usize, length: usize) {
    let end = address + length;
    let pages = ((address + 1).next_multiple_of(PAGE)..end).step_by(PAGE);
    for at in (length != 0).then_some(address).into_iter().chain(pages) {
        // SAFETY: what is not there faults, and the fault is the driver's, as nothing of ours is in the middle of anything.
        // Not an atomic operation of Rust's, which would become a load.
        unsafe { asm!("lock or byte ptr [{at}], 0", at = in(reg) at, options(nostack)) };
    }
}

extern "sysv64" fn on_capture(context: &mut Context, to: Out<Context>) {
    to.put(*context);
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
    // SAFETY: null, which is for none.
    let none = unsafe { In::new(ptr::null()) };
    on_unwind(context, frame, at, none, 0);
}

/// For a `.sys`.
#[allow(non_snake_case, reason = "the documentation's names")]
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
        // SAFETY: where these registers go on is the driver's word, and nothing here is needed any more.
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

    /// Unwinds one frame. Returns its handler if that is of the kind (1 for searching, 2 for unwinding) that is asked for.
    #[allow(clippy::too_many_arguments, reason = "the documentation's")]
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
            // As a caller that gives up expects it.
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

    /// Touches the stack, page by page, that a function is about to use: `rax` bytes. All registers are kept.
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

/// For a native driver: its compiler knows no exceptions, so whatever is raised is a fault where it is raised.
#[allow(non_snake_case, reason = "the documentation's names")]
mod sysv {
    use super::*;

    /// Reports an exception of whoever called.
    fn fault(cause: Cause) -> ! {
        let mut context = Context::zero();
        context.general[RSP] = &raw const context as u64;
        Report::new(cause, &context).stop()
    }

    fn raised(code: u32) -> ! {
        fault(Cause::Raised(Status::from_raw(code)))
    }

    macro_rules! exported {
        ($(fn $name:ident($($argument:ident: $type:ty),*) $body:block)*) => {$(
            #[unsafe(no_mangle)]
            pub(super) unsafe extern "C" fn $name($($argument: $type),*) $body
        )*};
    }

    exported! {
        fn ExRaiseStatus(status: u32) { raised(status) }
        fn RtlRaiseStatus(status: u32) { raised(status) }
        fn ExRaiseAccessViolation() { raised(ACCESS_VIOLATION) }
        fn ExRaiseDatatypeMisalignment() { raised(MISALIGNMENT) }
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
