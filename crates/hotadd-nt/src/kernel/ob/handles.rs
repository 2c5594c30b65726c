//! Handles: numbers that stand for references to objects. No number is reused, so that a stale handle is recognised.

use std::collections::HashMap;
use std::sync::LazyLock;

use hotadd::Status;
use parking_lot::Mutex;

use crate::ground::declare::nt;
use crate::ground::foreign::{In, Out};
use crate::ground::objects::Header;
use crate::ground::probe;
use crate::ground::rule::Rule;
use crate::ground::types::{Boolean, NtStatus, nt_status};
use crate::ground::{caller, thread};
use crate::kernel::ke::waits;
use crate::kernel::ob::references::{self, Kind, TYPE_MISMATCH};
use crate::kernel::ob::types::PsInitialSystemProcess;

/// `ZwCurrentProcess()` and `ZwCurrentThread()`.
const CURRENT_PROCESS: usize = usize::MAX;
const CURRENT_THREAD: usize = usize::MAX - 1;

/// `OBJECT_HANDLE_INFORMATION`: attributes and granted access.
type Information = [u32; 2];

nt! {
    /// References the object of a handle, if it has the requested type.
    fn ObReferenceObjectByHandle(
        handle: usize, access: u32, kind: usize, _mode: i8, object: Out<usize>, information: Out<Information>,
    ) -> NtStatus {
        match by_handle(handle, kind) {
            Ok(found) => {
                information.put_if_wanted([0, access]);
                object.put(found);
                0
            }
            Err(status) => {
                object.put(0);
                nt_status(status)
            }
        }
    }

    /// Creates a handle for an object, if it has the requested type.
    fn ObOpenObjectByPointer(
        object: usize, _attributes: u32, _state: usize, _access: u32, kind: usize, _mode: i8, handle: Out<usize>,
    ) -> NtStatus {
        let known = references::kind_of(object).unwrap_or(Kind::Other);
        if references::is_of(known, kind) {
            handle.put(open(object, known));
            0
        } else {
            nt_status(TYPE_MISMATCH)
        }
    }

    /// Closes a handle.
    fn ZwClose(handle: usize) -> NtStatus { close("ZwClose", handle) }

    /// Closes a handle.
    fn ObCloseHandle(handle: usize, _mode: i8) -> NtStatus { close("ObCloseHandle", handle) }

    /// Waits until the object of a handle is signalled.
    fn ZwWaitForSingleObject(handle: usize, _alertable: Boolean, timeout: In<i64>) -> NtStatus {
        wait(handle, timeout.non_null().map(In::get))
    }
}

struct Handles {
    open: HashMap<usize, (usize, Kind)>,
    last: usize,
}

static HANDLES: LazyLock<Mutex<Handles>> =
    LazyLock::new(|| Mutex::new(Handles { open: HashMap::new(), last: 0 }));

/// Creates a handle, which is a reference of its own.
pub(crate) fn open(object: usize, kind: Kind) -> usize {
    references::add(object, kind);
    let mut handles = HANDLES.lock();
    // A multiple of four, as on Windows.
    handles.last += 4;
    let handle = handles.last;
    handles.open.insert(handle, (object, kind));
    handle
}

/// The object of a handle, and its kind.
pub(crate) fn find(handle: usize) -> Option<(usize, Kind)> {
    match handle {
        CURRENT_THREAD => Some((thread::own().id(), Kind::Thread)),
        CURRENT_PROCESS => Some((PsInitialSystemProcess.address(), Kind::Process)),
        _ => HANDLES.lock().open.get(&handle).copied(),
    }
}

fn by_handle(handle: usize, asked: usize) -> Result<usize, Status> {
    let (object, kind) = find(handle).ok_or(Status::INVALID_HANDLE)?;
    if probe::fails() {
        return Err(Status::INSUFFICIENT_RESOURCES);
    }
    if !references::is_of(kind, asked) {
        return Err(TYPE_MISMATCH);
    }
    references::add(object, kind);
    Ok(object)
}

fn close(function: &str, handle: usize) -> NtStatus {
    let closed = HANDLES.lock().open.remove(&handle);
    let Some((object, _)) = closed else {
        caller::breach_of(
            Rule::Handle,
            format!("calls {function} for {handle:#x}, which is not an open handle"),
        );
        return nt_status(Status::INVALID_HANDLE);
    };
    references::drop_one(function, object);
    0
}

fn wait(handle: usize, timeout: Option<i64>) -> NtStatus {
    match find(handle) {
        Some((object, Kind::Thread | Kind::Process | Kind::Event)) => {
            // SAFETY: these objects of this crate begin with a header. An event lives as long as the handle, the others
            // are never freed. The process's header states that it has not ended.
            let object = unsafe { &*(object as *const Header) };
            waits::wait("ZwWaitForSingleObject", &[object], true, timeout)
        }
        Some(_) => nt_status(TYPE_MISMATCH),
        None => nt_status(Status::INVALID_HANDLE),
    }
}

/// How many handles are open.
pub(crate) fn count() -> usize {
    HANDLES.lock().open.len()
}
