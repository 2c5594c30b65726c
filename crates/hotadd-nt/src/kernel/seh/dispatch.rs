//! Finds the handler of an exception frame by frame, and then unwinds to it, again frame by frame.

use std::ptr;

use hotadd::Status;

use super::unwind::{self, Damaged, Handler, Stack};
use crate::faults::{Cause, Report};
use crate::ground::abi::Abi;
use crate::ground::context::{Context, RAX, Record, restore};
use crate::ground::images::{self, Image};
use crate::ground::thread;

/// The additional information for a handler, `DISPATCHER_CONTEXT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Dispatcher {
    pub(super) control: usize,
    pub(super) image: usize,
    pub(super) function: usize,
    pub(super) establisher: u64,
    pub(super) target: usize,
    pub(super) context: *mut Context,
    pub(super) handler: usize,
    pub(super) data: usize,
    history: usize,
    /// The index in the function's table at which to continue.
    pub(super) scope: u32,
    _unused: u32,
}

const _: () = assert!(size_of::<Dispatcher>() == 0x50);

/// Bits of a record's flags.
pub(super) const NONCONTINUABLE: u32 = 1;
pub(super) const UNWINDING: u32 = 2;
const EXITING: u32 = 4;
pub(super) const TARGET: u32 = 0x20;

/// The results of a handler.
pub(super) const CONTINUE_EXECUTION: i32 = 0;
pub(super) const CONTINUE_SEARCH: i32 = 1;

/// A handler, in a driver or of this crate.
type Language = unsafe extern "win64" fn(*mut Record, u64, *mut Context, *mut Dispatcher) -> i32;

/// This thread's stack.
fn stack() -> Stack {
    let (low, high) = thread::own().watched.limits();
    Stack { low, high }
}

/// The image that contains the instruction pointer, if it can be unwound. This crate's own code cannot: the callers
/// of a driver do not expect to be abandoned.
fn image(context: &Context) -> Option<&'static Image> {
    images::at(context.rip as usize).filter(|image| image.abi == Abi::Win64)
}

/// A frame on the way up the stack.
struct Met {
    dispatcher: Dispatcher,
    handler: Option<Handler>,
}

/// Unwinds one frame. `None` if there is no frame that can be unwound.
fn next(context: &mut Context, stack: Stack) -> Option<Met> {
    let image = image(context)?;
    let (control, below) = (context.rip as usize, context.rsp());
    let mut met = Met {
        dispatcher: Dispatcher {
            control,
            image: image.base,
            function: 0,
            establisher: context.rsp() as u64,
            target: 0,
            context: ptr::null_mut(),
            handler: 0,
            data: 0,
            history: 0,
            scope: 0,
            _unused: 0,
        },
        handler: None,
    };
    let done: Result<(), Damaged> = match unwind::lookup(image, control) {
        None => unwind::leaf(context, stack),
        Some(function) => unwind::step(image, function, context, stack).map(|frame| {
            met.dispatcher.function = image.base + function.entry;
            met.dispatcher.establisher = frame.establisher;
            met.handler = frame.handler;
        }),
    };
    // Every frame must be above the one that it called. Otherwise this would never end.
    (done.is_ok() && context.rsp() > below).then_some(met)
}

/// The addresses to which the functions from these registers on return, at most this many. The first is where the
/// registers are. It ends where the stack leaves the images that can be unwound.
pub(super) fn trace(context: &Context, most: usize) -> Vec<usize> {
    let (stack, mut frame, mut found) = (stack(), *context, Vec::new());
    while found.len() < most && image(&frame).is_some() {
        found.push(frame.rip as usize);
        if next(&mut frame, stack).is_none() {
            break;
        }
    }
    found
}

/// Calls a frame's handler.
fn ask(
    met: &mut Met,
    handler: Handler,
    record: &mut Record,
    context: &mut Context,
    frame: &mut Context,
) -> i32 {
    met.dispatcher.context = frame;
    met.dispatcher.handler = handler.address;
    met.dispatcher.data = handler.data;
    let language = ptr::with_exposed_provenance::<()>(handler.address);
    // SAFETY: the image's table states that a function with this signature begins here.
    let language = unsafe { std::mem::transmute::<*const (), Language>(language) };
    // SAFETY: the structures outlive the call, unless it does not return.
    unsafe { language(record, met.dispatcher.establisher, context, &raw mut met.dispatcher) }
}

/// Lets a driver handle an exception. Returns only if no handler takes it.
pub(crate) fn dispatch(record: &mut Record, context: &mut Context) {
    let stack = stack();
    let mut frame = *context;
    while let Some(mut met) = next(&mut frame, stack) {
        let Some(handler) = met.handler.filter(|handler| handler.searching) else { continue };
        match ask(&mut met, handler, record, context, &mut frame) {
            // SAFETY: these are the exception's registers as a filter has left them; the driver guarantees that they
            // can be continued.
            CONTINUE_EXECUTION if record.flags & NONCONTINUABLE == 0 => unsafe { restore(context) },
            CONTINUE_SEARCH => {}
            _ => return,
        }
    }
}

/// Unwinds from these registers to a frame, and continues there with a value.
pub(super) fn unwind(target: u64, at: usize, record: &mut Record, value: u64, from: &Context) -> ! {
    let stack = stack();
    record.flags |= UNWINDING;
    if target == 0 {
        record.flags |= EXITING;
    }
    let mut frame = *from;
    loop {
        let mut caller = frame;
        let Some(mut met) = next(&mut caller, stack) else { break };
        let arrived = met.dispatcher.establisher == target && met.dispatcher.function != 0;
        if let Some(handler) = met.handler.filter(|handler| handler.unwinding) {
            met.dispatcher.target = at;
            record.flags = record.flags & !TARGET | if arrived { TARGET } else { 0 };
            let mut original = *from;
            if ask(&mut met, handler, record, &mut original, &mut frame) != CONTINUE_SEARCH {
                break;
            }
        }
        if arrived {
            frame.general[RAX] = value;
            frame.rip = at as u64;
            // SAFETY: these are the registers of a function that is still active, at a place that its table names.
            unsafe { restore(&raw const frame) };
        }
        frame = caller;
    }
    // The unwinding is incomplete, so the thread cannot continue.
    let status = Status::from_raw(0xC000_0028);
    Report::new(Cause::Raised(status), from).stop()
}
