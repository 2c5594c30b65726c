//! References to objects: counted, whatever they are to.

use std::collections::HashMap;
use std::sync::LazyLock;

use parking_lot::Mutex;

use crate::ground::caller;
use crate::ground::export::nt;
use crate::ground::types::{NtStatus, nt_status};
use crate::kernel::ex::callbacks;
use crate::kernel::ob::types::variables::{
    ExEventObjectType, ExSemaphoreObjectType, IoFileObjectType, PsProcessType, PsThreadType,
};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Thread,
    Process,
    Callback,
    /// None of ours: a device, a driver, whatever another part made.
    Other,
}

nt! {
    /// Refers to an object once more. Returns how often it is referred to.
    fn ObfReferenceObject(object: usize) -> isize { add(object, Kind::Other) }

    /// Refers to an object once less. Returns how often it is referred to.
    fn ObfDereferenceObject(object: usize) -> isize { drop_one("ObfDereferenceObject", object) }

    /// Refers to an object once more.
    fn ObReferenceObject(object: usize) -> isize { add(object, Kind::Other) }

    /// Refers to an object once less.
    fn ObDereferenceObject(object: usize) -> isize { drop_one("ObDereferenceObject", object) }

    /// Refers to an object once less. What that leads to may come later.
    fn ObDereferenceObjectDeferDelete(object: usize) {
        drop_one("ObDereferenceObjectDeferDelete", object);
    }

    /// Refers to an object once more, if it is of a type.
    fn ObReferenceObjectByPointer(object: usize, _access: u32, kind: usize, _mode: i8) -> NtStatus {
        by_pointer(object, kind)
    }
}

/// How often each object is referred to.
static COUNTS: LazyLock<Mutex<HashMap<usize, (Kind, isize)>>> = LazyLock::new(Mutex::default);

/// `STATUS_OBJECT_TYPE_MISMATCH`.
pub(crate) const TYPE_MISMATCH: hotadd::Status = hotadd::Status::from_raw(0xC000_0024);

/// Refers to an object once more. Its kind is that which it was first said to be.
pub(crate) fn add(object: usize, kind: Kind) -> isize {
    let mut counts = COUNTS.lock();
    let (_, count) = counts.entry(object).or_insert((kind, 0));
    *count += 1;
    *count
}

/// Refers to an object once less.
pub(crate) fn drop_one(function: &str, object: usize) -> isize {
    let mut counts = COUNTS.lock();
    let Some((kind, count)) = counts.get_mut(&object) else {
        drop(counts);
        caller::fault(format!(
            "calls {function} for {object:#x} more often than it was referred to \
             (REFERENCE_BY_POINTER)"
        ));
    };
    *count -= 1;
    let (kind, left) = (*kind, *count);
    if left == 0 {
        counts.remove(&object);
    }
    drop(counts);
    if left == 0 && kind == Kind::Callback {
        callbacks::forget(object);
    }
    left
}

/// What an object is, if somebody refers to it.
pub(crate) fn kind_of(object: usize) -> Option<Kind> {
    COUNTS.lock().get(&object).map(|(kind, _)| *kind)
}

/// How many objects are referred to.
pub(crate) fn left() -> usize {
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

/// Whether an object of that kind is of the type that a driver asks for: 0 is any, and so is one that we know nothing of.
pub(crate) fn is_of(kind: Kind, asked: usize) -> bool {
    let types = [(&PsThreadType, Kind::Thread), (&PsProcessType, Kind::Process)];
    let others = [&ExEventObjectType, &ExSemaphoreObjectType, &IoFileObjectType];
    let named = types.into_iter().chain(others.into_iter().map(|of| (of, Kind::Other)));
    let mut asked_for = named.filter(|(of, _)| of.address() == asked).map(|(_, kind)| kind);
    asked_for.next().is_none_or(|of| of == kind)
}
