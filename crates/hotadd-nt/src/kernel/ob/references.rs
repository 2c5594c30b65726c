//! Counts references to objects of any kind.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use parking_lot::Mutex;

use crate::ground::caller;
use crate::ground::declare::nt;
use crate::ground::types::{NtStatus, nt_status};
use crate::kernel::ob::types::variables::{
    ExEventObjectType, ExSemaphoreObjectType, IoFileObjectType, PsProcessType, PsThreadType,
};

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Process,
    Callback,
    /// An event of this crate, which has a name.
    Event,
    /// A file object.
    File,
    /// Any other object: a device, a driver, or an object that another part created.
    Other,
}

nt! {
    /// Adds a reference to an object. Returns the number of references.
    fn ObfReferenceObject(object: usize) -> isize { add(object, Kind::Other) }

    /// Removes a reference to an object. Returns the number of references.
    fn ObfDereferenceObject(object: usize) -> isize { drop_one("ObfDereferenceObject", object) }

    /// Adds a reference to an object.
    fn ObReferenceObject(object: usize) -> isize { add(object, Kind::Other) }

    /// Removes a reference to an object.
    fn ObDereferenceObject(object: usize) -> isize { drop_one("ObDereferenceObject", object) }

    /// Removes a reference to an object. The consequences may follow later.
    fn ObDereferenceObjectDeferDelete(object: usize) {
        drop_one("ObDereferenceObjectDeferDelete", object);
    }

    /// Adds a reference to an object, if it has the requested type.
    fn ObReferenceObjectByPointer(object: usize, _access: u32, kind: usize, _mode: i8) -> NtStatus {
        by_pointer(object, kind)
    }
}

/// The reference count of each object.
static COUNTS: LazyLock<Mutex<HashMap<usize, (Kind, isize)>>> = LazyLock::new(Mutex::default);

/// The function that is called when the last reference to an object is removed, for each kind. Threads and processes have none.
static ENDS: [OnceLock<fn(usize)>; Kind::Other as usize + 1] =
    [const { OnceLock::new() }; Kind::Other as usize + 1];

/// Sets the function that is called when the last reference to an object of this kind is removed. The part of the kernel that makes such
/// objects calls this before it makes the first one. Later calls have no effect.
pub(crate) fn at_end(kind: Kind, end: fn(usize)) {
    let _ = ENDS[kind as usize].set(end);
}

/// `STATUS_OBJECT_TYPE_MISMATCH`.
pub(crate) const TYPE_MISMATCH: hotadd::Status = hotadd::Status::from_raw(0xC000_0024);

/// Adds a reference to an object. The kind of the first call remains.
pub(crate) fn add(object: usize, kind: Kind) -> isize {
    let mut counts = COUNTS.lock();
    let (_, count) = counts.entry(object).or_insert((kind, 0));
    *count += 1;
    *count
}

/// Removes a reference to an object.
pub(crate) fn drop_one(function: &str, object: usize) -> isize {
    let mut counts = COUNTS.lock();
    let Some((kind, count)) = counts.get_mut(&object) else {
        drop(counts);
        caller::fault(format!(
            "calls {function} for {object:#x} more often than it was referenced (REFERENCE_BY_POINTER)"
        ));
    };
    *count -= 1;
    let (kind, left) = (*kind, *count);
    if left == 0 {
        counts.remove(&object);
    }
    drop(counts);
    if left == 0
        && let Some(end) = ENDS[kind as usize].get()
    {
        end(object);
    }
    left
}

/// The kind of an object that has references.
pub(crate) fn kind_of(object: usize) -> Option<Kind> {
    COUNTS.lock().get(&object).map(|(kind, _)| *kind)
}

/// How many objects have references.
pub(crate) fn count() -> usize {
    COUNTS.lock().len()
}

fn by_pointer(object: usize, kind: usize) -> NtStatus {
    let known = kind_of(object).unwrap_or(Kind::Other);
    if !is_of(known, kind) {
        return nt_status(TYPE_MISMATCH);
    }
    add(object, known);
    0
}

/// Whether an object of this kind has the type that a driver requests. 0 and unknown types match any kind.
pub(crate) fn is_of(kind: Kind, asked: usize) -> bool {
    let types = [
        (&PsThreadType, Kind::Thread),
        (&PsProcessType, Kind::Process),
        (&ExEventObjectType, Kind::Event),
        (&IoFileObjectType, Kind::File),
    ];
    // Objects of the driver's own count too.
    let others = [&ExEventObjectType, &ExSemaphoreObjectType, &IoFileObjectType];
    let named = types.into_iter().chain(others.into_iter().map(|of| (of, Kind::Other)));
    let mut asked_for =
        named.filter(|(of, _)| of.address() == asked).map(|(_, kind)| kind).peekable();
    asked_for.peek().is_none() || asked_for.any(|of| of == kind)
}
