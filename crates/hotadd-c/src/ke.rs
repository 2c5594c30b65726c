//! The functions with Windows' names, and `hotadd_start_on`, `hotadd_connect`, `hotadd_add`, `hotadd_remove` and
//! `hotadd_candidates`, which act on the same partition.
//!
//! Windows documents no error of the queries and of deregistering. Their failures are printed to stderr.

#![expect(unreachable_pub, reason = "the names are exported, the module is not")]

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hotadd::{ActiveSet, GROUP_SIZE, ProcessorIndex, Status};

use crate::callee::{Function, KeCallback};
use crate::change::ProcessorNumber;
use crate::failure::{Failure, failed, raw, text, told, value_or};
use crate::member::Member;
use crate::partition::write_ids;
use crate::registration::{NO_REPLAY, REGISTRATIONS, Registration};
use crate::{forked, program};

/// `KE_PROCESSOR_CHANGE_ADD_EXISTING`.
const ADD_EXISTING: u32 = 1;
/// `ALL_PROCESSOR_GROUPS`.
const ALL_GROUPS: u16 = 0xffff;
/// `INVALID_PROCESSOR_INDEX`.
const INVALID_INDEX: u32 = 0xffff_ffff;

/// The length to which a program's name is cut, so that a number still fits after it.
const LONGEST_NAME: usize = 32;

/// Stores a failure, and prints it.
fn printed<T>(function: &str, result: Result<T, Failure>, otherwise: T) -> T {
    if let Err(failure) = &result {
        eprintln!("hotadd: {function}: {}", failure.message());
    }
    value_or(result, otherwise)
}

fn active(function: &str) -> Option<Arc<ActiveSet>> {
    let active = forked::check().and_then(|()| program::current());
    printed(function, active.map(|member| Some(member.partition.active())), None)
}

/// Registers a callback that is told when processors are added (R1-R7). Returns a handle, or NULL.
///
/// # Safety
/// `callback` is NULL, or may be called with `context` as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn KeRegisterProcessorChangeCallback(
    callback: Option<KeCallback>,
    context: *mut c_void,
    flags: u32,
) -> *mut c_void {
    const NAME: &str = "KeRegisterProcessorChangeCallback";
    let unknown = flags & !ADD_EXISTING;
    if unknown != 0 {
        eprintln!("hotadd: {NAME}: unknown flags {unknown:#x} are ignored (R7)");
    }
    let registered = forked::check().and_then(|()| {
        let callback = callback.ok_or_else(|| Failure::invalid("the callback is NULL (R7)"))?;
        let (member, function) = (Arc::clone(program::current()?), Function::Ke(callback));
        let registration = Registration::new(member, next_name(), function, context);
        if flags & ADD_EXISTING == 0 {
            registration.set_flags(NO_REPLAY)?;
        }
        registration.start()?;
        REGISTRATIONS.insert(Arc::new(registration))
    });
    printed(NAME, registered, ptr::null_mut())
}

/// The first registration has the program's name. Later ones have a number appended.
fn next_name() -> String {
    static NAMED: AtomicUsize = AtomicUsize::new(0);
    let program = std::env::current_exe().ok();
    let program = program.as_ref().and_then(|path| path.file_name()).unwrap_or("program".as_ref());
    let name: String = program.to_string_lossy().chars().take(LONGEST_NAME).collect();
    // Relaxed: the number orders nothing.
    match NAMED.fetch_add(1, Ordering::Relaxed) + 1 {
        1 => name,
        number => format!("{name}#{number}"),
    }
}

/// Deregisters a callback (D1).
#[unsafe(no_mangle)]
pub extern "C" fn KeDeregisterProcessorChangeCallback(handle: *mut c_void) {
    let removed = forked::check().and_then(|()| REGISTRATIONS.remove(handle));
    let stopped = removed.and_then(|registration| registration.stop());
    printed("KeDeregisterProcessorChangeCallback", stopped, ());
}

/// The number of active processors of a group, or of all groups.
#[unsafe(no_mangle)]
pub extern "C" fn KeQueryActiveProcessorCountEx(group: u16) -> u32 {
    active("KeQueryActiveProcessorCountEx").map_or(0, |active| match group {
        ALL_GROUPS => active.count(),
        group => active.group_mask(group).count_ones(),
    })
}

/// The maximum number of processors of a group, or of all groups.
#[unsafe(no_mangle)]
pub extern "C" fn KeQueryMaximumProcessorCountEx(group: u16) -> u32 {
    active("KeQueryMaximumProcessorCountEx").map_or(0, |active| match group {
        ALL_GROUPS => active.maximum(),
        // Groups fill up one after the other.
        group => active.maximum().saturating_sub(u32::from(group) * GROUP_SIZE).min(GROUP_SIZE),
    })
}

fn maximum_groups(active: &ActiveSet) -> u16 {
    u16::try_from(active.maximum().div_ceil(GROUP_SIZE)).unwrap_or(u16::MAX).max(1)
}

/// The number of groups up to the last one with an active processor.
#[unsafe(no_mangle)]
pub extern "C" fn KeQueryActiveGroupCount() -> u16 {
    let Some(active) = active("KeQueryActiveGroupCount") else { return 0 };
    let last = (0..maximum_groups(&active)).rfind(|group| active.group_mask(*group) != 0);
    last.map_or(0, |last| last + 1)
}

/// The maximum number of groups.
#[unsafe(no_mangle)]
pub extern "C" fn KeQueryMaximumGroupCount() -> u16 {
    active("KeQueryMaximumGroupCount").map_or(0, |active| maximum_groups(&active))
}

/// The active processors of a group. 0 for a group that does not exist.
#[unsafe(no_mangle)]
pub extern "C" fn KeQueryGroupAffinity(group: u16) -> u64 {
    active("KeQueryGroupAffinity").map_or(0, |active| active.group_mask(group))
}

/// Converts an index to group and number. Also works for a processor that is being added (A5).
///
/// # Safety
/// `number` is NULL, or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn KeGetProcessorNumberFromIndex(
    index: u32,
    number: *mut ProcessorNumber,
) -> i32 {
    let active = active("KeGetProcessorNumberFromIndex");
    let found = active.and_then(|active| active.by_index(ProcessorIndex::new(index)?));
    match found {
        Some(processor) if !number.is_null() => {
            // SAFETY: not NULL, and so it may be written by the caller's promise.
            unsafe { number.write(processor.index.into()) };
            0
        }
        _ => raw(Status::INVALID_PARAMETER),
    }
}

/// Converts group and number to the index. Also works for a processor that is being added (A5).
///
/// # Safety
/// `number` is NULL, or may be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn KeGetProcessorIndexFromNumber(number: *const ProcessorNumber) -> u32 {
    if number.is_null() {
        return INVALID_INDEX;
    }
    // SAFETY: not NULL, and so it may be read by the caller's promise. Every value of its bytes is valid.
    let ProcessorNumber { group, number, .. } = unsafe { number.read() };
    let active = active("KeGetProcessorIndexFromNumber");
    let number = hotadd::ProcessorNumber { group, number };
    let found = active.and_then(|active| active.by_number(number));
    found.map_or(INVALID_INDEX, |processor| processor.index.get())
}

/// The index of the current processor, and optionally its group and number.
///
/// # Safety
/// `number` is NULL, or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn KeGetCurrentProcessorNumberEx(number: *mut ProcessorNumber) -> u32 {
    let current = forked::check().and_then(|()| program::current());
    let current = current.map(|member| member.current());
    let index = printed("KeGetCurrentProcessorNumberEx", current, None);
    if !number.is_null() {
        // SAFETY: not NULL, and so it may be written by the caller's promise.
        unsafe { number.write(index.map(Into::into).unwrap_or_default()) };
    }
    // The function has no error on Windows.
    index.map_or(0, ProcessorIndex::get)
}

fn member() -> Result<&'static Arc<Member>, Failure> {
    forked::check()?;
    program::current()
}

/// Starts with only these processors, instead of all that the threads of this process may run on.
///
/// # Safety
/// `cpus` is a C string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_start_on(cpus: *const c_char) -> i32 {
    // SAFETY: the caller's promise.
    let cpus = forked::check().and_then(|()| unsafe { text(cpus) });
    cpus.and_then(program::start_on).map_or_else(failed, |()| 0)
}

/// Uses the partition that another process provides under this name or path.
///
/// # Safety
/// `name` is a C string, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_connect(name: *const c_char) -> i32 {
    // SAFETY: the caller's promise.
    let name = forked::check().and_then(|()| unsafe { text(name) });
    name.and_then(program::connect).map_or_else(failed, |()| 0)
}

/// Adds the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_add(id: u32) -> i32 {
    told(member().and_then(|member| member.add(id)))
}

/// Removes the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_remove(id: u32) -> i32 {
    told(member().and_then(|member| member.remove(id)))
}

/// Writes the ids of the processors that could be added now, and returns their number; `usize::MAX` on an error.
///
/// # Safety
/// `ids` has room for `length` numbers, or is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_candidates(ids: *mut u32, length: usize) -> usize {
    let found = member().and_then(|member| member.candidates());
    // SAFETY: the caller's promise.
    value_or(found.map(|found| unsafe { write_ids(&found, ids, length) }), usize::MAX)
}
