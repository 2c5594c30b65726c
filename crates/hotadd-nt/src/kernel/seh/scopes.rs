//! `__C_specific_handler`: the handler of C functions, which uses their table of `__try` blocks.

use std::ptr;

use super::dispatch::{self, CONTINUE_EXECUTION, CONTINUE_SEARCH, Dispatcher, TARGET, UNWINDING};
use crate::ground::context::{Context, Record};
use crate::ground::foreign::Out;
use crate::ground::images::{self, Image};

/// A `__try` block. All offsets are from the image's lowest address.
struct Scope {
    begin: usize,
    end: usize,
    /// Its filter, or 1 for one that handles everything. For a `__finally`, the block itself.
    handler: usize,
    /// Its `__except` block; 0 for a `__finally`.
    target: usize,
}

/// The argument of a filter, `EXCEPTION_POINTERS`.
#[repr(C)]
struct Pointers {
    record: *mut Record,
    context: *mut Context,
}

/// The maximum number of scopes, which is more than any function has.
const MOST: u32 = 1 << 16;

fn scope(image: &Image, table: usize, number: u32) -> Option<Scope> {
    let words = image.value::<[[u8; 4]; 4]>(table + 4 + 16 * number as usize)?;
    let [begin, end, handler, target] = words.map(|word| u32::from_le_bytes(word) as usize);
    Some(Scope { begin, end, handler, target })
}

/// Calls a block of the driver as a function.
///
/// # Safety
/// The function's table states that it is a filter or a `__finally`.
unsafe fn block(image: &Image, place: usize, first: usize, establisher: u64) -> i32 {
    type Block = unsafe extern "win64" fn(usize, u64) -> i32;
    let address = ptr::with_exposed_provenance::<()>(image.base + place);
    // SAFETY: the caller guarantees that it is such a block.
    let block = unsafe { std::mem::transmute::<*const (), Block>(address) };
    // SAFETY: the caller guarantees that it is such a block, and the frame is still there.
    unsafe { block(first, establisher) }
}

/// Handles an exception for a function, by its scope table.
pub(super) fn handle(
    record: Out<Record>,
    establisher: u64,
    context: Out<Context>,
    dispatcher: Out<Dispatcher>,
) -> i32 {
    let mut about = dispatcher.get();
    let Some(image) = images::at(about.control) else { return CONTINUE_SEARCH };
    let (Some(control), Some(table)) =
        (about.control.checked_sub(image.base), about.data.checked_sub(image.base))
    else {
        return CONTINUE_SEARCH;
    };
    let count = image.value::<u32>(table).unwrap_or(0).min(MOST);
    for number in about.scope..count {
        let Some(scope) = scope(image, table, number) else { break };
        let code = |place: usize| image.executes(image.base + place);
        let sound = (scope.handler == 1 || code(scope.handler))
            && (scope.target == 0 || code(scope.target));
        if !(scope.begin..scope.end).contains(&control) || !sound {
            continue;
        }
        if record.get().flags & UNWINDING != 0 {
            let target = about.target.wrapping_sub(image.base);
            // The target is inside this block, or is this block's handler: the block is not left.
            let stays = (scope.begin..scope.end).contains(&target) || target == scope.target;
            if record.get().flags & TARGET != 0 && stays {
                break;
            }
            if scope.target == 0 {
                // If the `__finally` raises an exception itself, it is not run again.
                about.scope = number + 1;
                dispatcher.put(about);
                // SAFETY: it is a `__finally`, and its argument states that its block was left
                // abnormally.
                unsafe { block(image, scope.handler, 1, establisher) };
            }
            continue;
        }
        if scope.target == 0 {
            continue;
        }
        let mut pointers = Pointers { record: record.as_ptr(), context: context.as_ptr() };
        let answer = match scope.handler {
            1 => 1,
            // SAFETY: it is a filter, and its arguments outlive it.
            filter => unsafe { block(image, filter, &raw mut pointers as usize, establisher) },
        };
        if answer < 0 {
            return CONTINUE_EXECUTION;
        }
        if answer > 0 {
            let (mut record, context) = (record.get(), context.get());
            let (target, value) = (image.base + scope.target, u64::from(record.code));
            dispatch::unwind(establisher, target, &mut record, value, &context);
        }
    }
    CONTINUE_SEARCH
}
