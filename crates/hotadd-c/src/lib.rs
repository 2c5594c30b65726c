//! The C library: the functions of `hotadd-nt` under their C names, and the few that only a program needs.
//!
//! `include/hotadd.h` is its documentation.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use hotadd::hardware::{Affinity, Tree};
use hotadd::{CpuList, Error, Follow, HardwareId, Partition, Status};
use hotadd_nt::World;

thread_local! {
    /// The message of the last of these functions that failed on this thread.
    static ERROR: RefCell<CString> = RefCell::default();
}

/// Stores the error's message, and returns its status.
fn told(result: Result<(), (Status, String)>) -> i32 {
    let Err((status, sentence)) = result else { return Status::SUCCESS.to_raw().cast_signed() };
    let sentence = CString::new(sentence.replace('\0', " ")).unwrap_or_default();
    ERROR.set(sentence);
    status.to_raw().cast_signed()
}

fn of(error: &Error) -> (Status, String) {
    (error.status(), error.to_string())
}

/// Starts with only these processors, instead of all that the threads of this process may run on.
///
/// # Safety
/// `cpus` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_start_on(cpus: *const c_char) -> i32 {
    let partition = || {
        // SAFETY: the caller guarantees a C string.
        let list = unsafe { text(cpus) }?.parse::<CpuList>();
        let list = list.map_err(|error| (Status::INVALID_PARAMETER, error.to_string()))?;
        let affinity = Affinity::new(Tree::Current, Some(&list))
            .map_err(|error| of(&Error::Affinity(error)))?;
        Partition::from_hardware_following(Arc::new(affinity), Follow::Ask)
            .map_err(|error| of(&error))
    };
    told(begin(partition))
}

/// Uses the partition that another process provides under this name or path.
///
/// # Safety
/// `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_connect(name: *const c_char) -> i32 {
    // SAFETY: the caller guarantees a C string.
    let name = unsafe { text(name) };
    let partition = || {
        let path = match name? {
            name if hotadd_wire::is_name(name) => hotadd_wire::runtime_dir().join(name),
            path => PathBuf::from(path),
        };
        Partition::connect(path).map_err(|error| of(&error))
    };
    told(begin(partition))
}

/// The text of a C string.
///
/// # Safety
/// `text` is a C string, or null.
unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, (Status, String)> {
    let invalid = |what: &str| (Status::INVALID_PARAMETER, what.to_owned());
    if text.is_null() {
        return Err(invalid("the text is NULL"));
    }
    // SAFETY: the caller guarantees a C string.
    unsafe { CStr::from_ptr(text) }.to_str().map_err(|_| invalid("the text is not UTF-8"))
}

/// Makes the result of `make` this program's partition.
fn begin(
    make: impl FnOnce() -> Result<Partition, (Status, String)>,
) -> Result<(), (Status, String)> {
    let late = || {
        let late = "this program already has a partition; call this function before all others";
        (Status::INVALID_DEVICE_STATE, late.to_owned())
    };
    // This is checked before and after, because creating a partition narrows every thread's mask.
    if World::has_begun() {
        return Err(late());
    }
    World::of_program(make()?).begin().map_err(|_| late())
}

/// Adds the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_add(id: u32) -> i32 {
    let added = World::current().partition.add(HardwareId(id));
    told(added.map(drop).map_err(|error| of(&error)))
}

/// Removes the processor that Linux calls `cpuID`.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_remove(id: u32) -> i32 {
    let removed = World::current().partition.remove(HardwareId(id));
    told(removed.map(drop).map_err(|error| of(&error)))
}

/// Writes the ids of the processors that could be added now, and returns their number; `usize::MAX` if it is unknown.
///
/// # Safety
/// `ids` has room for `length` numbers, or is null with a length of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hotadd_candidates(ids: *mut u32, length: usize) -> usize {
    let candidates: Vec<u32> = match World::current().partition.candidates() {
        Ok(ids) => ids.iter().map(|id| id.0).collect(),
        Err(error) => {
            told(Err(of(&error)));
            return usize::MAX;
        }
    };
    if !ids.is_null() {
        // SAFETY: the caller guarantees room for that many.
        unsafe { ptr::copy_nonoverlapping(candidates.as_ptr(), ids, candidates.len().min(length)) };
    }
    candidates.len()
}

/// The message of the last of these functions that failed on this thread. It is valid until the next failure.
#[unsafe(no_mangle)]
pub extern "C" fn hotadd_error() -> *const c_char {
    ERROR.with_borrow(|error| error.as_ptr())
}
