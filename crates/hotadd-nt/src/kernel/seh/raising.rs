//! Functions that raise exceptions, for a `.sys`, which can handle them. They do what the [exports](crate::ground::export)
//! of these names do, and raise at the place of the call. A native driver has no handlers: there it is a fault.

use std::ptr;

use super::dispatch::{self, NONCONTINUABLE};
use super::raise::caught;
use super::replaced::Replaced;
use crate::ground::caller;
use crate::ground::calls::call_before;
use crate::ground::context::{Context, Record};
use crate::ground::exception::Exception;
use crate::ground::fault::Fault;
use crate::ground::foreign::{In, Out, Shared};
use crate::ground::objects::{Header, Mutant, Semaphore};
use crate::ground::types::{Boolean, NtStatus};
use crate::kernel::ex::pool;
use crate::kernel::ke::{events, waits};
use crate::kernel::mm::mdl::{self, Mdl};

/// The result, or an exception that the calling driver may handle.
fn or_raise<T>(context: &mut Context, result: Result<T, Exception>) -> T {
    let exception = match result {
        Ok(value) => return value,
        Err(exception) => exception,
    };
    let mut record = Record::new(exception.status().to_raw(), context.rip as usize);
    record.flags = NONCONTINUABLE;
    // Nothing in this frame or below has to be dropped if a handler takes it.
    dispatch::dispatch(&mut record, context);
    let at = call_before(context.rip as usize).map_or(0, |call| call.at);
    Fault::new(exception.status(), exception.to_string(), at).raise()
}

/// The caller's argument of this number, counted from 0, which lies on its stack.
fn argument<T: Copy>(context: &Context, number: usize) -> T {
    // The first four have room there too.
    let place = context.rsp().wrapping_add(8 * number);
    // SAFETY: the convention requires these arguments on the stack of the caller, which is in the call.
    unsafe { In::new(ptr::with_exposed_provenance::<T>(place)) }.get()
}

extern "sysv64" fn on_release_mutex(
    context: &mut Context,
    mutex: Shared<'_, Mutant>,
    _wait: Boolean,
) -> i32 {
    caller::enters("KeReleaseMutex");
    or_raise(context, events::release_mutant("KeReleaseMutex", mutex.get(), false))
}

extern "sysv64" fn on_release_mutant(
    context: &mut Context,
    mutex: Shared<'_, Mutant>,
    _increment: i32,
    abandoned: Boolean,
) -> i32 {
    caller::enters("KeReleaseMutant");
    or_raise(context, events::release_mutant("KeReleaseMutant", mutex.get(), abandoned != 0))
}

extern "sysv64" fn on_release_semaphore(
    context: &mut Context,
    semaphore: Shared<'_, Semaphore>,
    _increment: i32,
    by: i32,
) -> i32 {
    caller::enters("KeReleaseSemaphore");
    or_raise(context, events::release_semaphore(semaphore.get(), by))
}

extern "sysv64" fn on_wait(context: &mut Context, object: Shared<'_, Header>) -> NtStatus {
    caller::enters("KeWaitForSingleObject");
    let timeout: In<i64> = argument(context, 4);
    or_raise(context, waits::single(object, timeout))
}

extern "sysv64" fn on_wait_for_several(
    context: &mut Context,
    count: u32,
    objects: In<Shared<'_, Header>>,
    kind: i32,
) -> NtStatus {
    caller::enters("KeWaitForMultipleObjects");
    let (timeout, blocks): (In<i64>, usize) = (argument(context, 6), argument(context, 7));
    let result = waits::several(count, objects, kind, timeout, blocks == 0);
    or_raise(context, result)
}

extern "sysv64" fn on_lock_pages(context: &mut Context, mdl: Out<Mdl>, _mode: u8, operation: u32) {
    caller::enters("MmProbeAndLockPages");
    or_raise(context, mdl::try_lock(mdl, operation));
}

extern "sysv64" fn on_allocate(context: &mut Context, kind: u32, size: usize) -> usize {
    caller::enters("ExAllocatePool");
    or_raise(context, pool::by_type(kind, size, None))
}

extern "sysv64" fn on_allocate_with_tag(
    context: &mut Context,
    kind: u32,
    size: usize,
    tag: u32,
) -> usize {
    caller::enters("ExAllocatePoolWithTag");
    or_raise(context, pool::by_type(kind, size, Some(tag)))
}

extern "sysv64" fn on_allocate_with_quota(
    context: &mut Context,
    kind: u32,
    size: usize,
    tag: u32,
) -> usize {
    caller::enters("ExAllocatePoolWithQuotaTag");
    or_raise(context, pool::with_quota(kind, size, tag))
}

extern "sysv64" fn on_allocate_zero(
    context: &mut Context,
    kind: u32,
    size: usize,
    tag: u32,
) -> usize {
    caller::enters("ExAllocatePoolZero");
    or_raise(context, pool::zeroed(kind, size, tag))
}

extern "sysv64" fn on_allocate_by_flags(
    context: &mut Context,
    flags: u64,
    size: usize,
    tag: u32,
) -> usize {
    caller::enters("ExAllocatePool2");
    or_raise(context, pool::by_flags(flags, size, tag))
}

caught! {
    fn releasing_mutex = on_release_mutex;
    fn releasing_mutant = on_release_mutant;
    fn releasing_semaphore = on_release_semaphore;
    fn waiting = on_wait;
    fn waiting_for_several = on_wait_for_several;
    fn locking_pages = on_lock_pages;
    fn allocating = on_allocate;
    fn allocating_with_tag = on_allocate_with_tag;
    fn allocating_with_quota = on_allocate_with_quota;
    fn allocating_zero = on_allocate_zero;
    fn allocating_by_flags = on_allocate_by_flags;
}

/// Names, and the functions that a `.sys` receives for them.
pub(crate) const FUNCTIONS: Replaced = Replaced(&[
    ("KeReleaseMutex", releasing_mutex),
    ("KeReleaseMutant", releasing_mutant),
    ("KeReleaseSemaphore", releasing_semaphore),
    ("KeWaitForSingleObject", waiting),
    ("KeWaitForMultipleObjects", waiting_for_several),
    ("MmProbeAndLockPages", locking_pages),
    ("ExAllocatePool", allocating),
    ("ExAllocatePoolWithTag", allocating_with_tag),
    ("ExAllocatePoolWithTagPriority", allocating_with_tag),
    ("ExAllocatePoolUninitialized", allocating_with_tag),
    ("ExAllocatePoolWithQuotaTag", allocating_with_quota),
    ("ExAllocatePoolQuotaWithTag", allocating_with_quota),
    ("ExAllocatePoolZero", allocating_zero),
    ("ExAllocatePool2", allocating_by_flags),
    ("ExAllocatePool3", allocating_by_flags),
]);
