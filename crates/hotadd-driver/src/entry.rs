//! From `DriverEntry` to unloading: registering one [`Driver`] with the system, and calling it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use hotadd_core::{Driver, HardwareId, Notice, Processor, ProcessorIndex, State, Status};
use windows_sys::Wdk::System::SystemServices::{
    KE_PROCESSOR_CHANGE_ADD_EXISTING, KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    KeDeregisterProcessorChangeCallback, KeProcessorAddCompleteNotify, KeProcessorAddFailureNotify,
    KeProcessorAddStartNotify, KeRegisterProcessorChangeCallback, PPROCESSOR_CALLBACK_FUNCTION,
};
use windows_sys::Win32::Foundation::NTSTATUS;

/// Where a crate's one driver is kept between `DriverEntry` and unloading.
pub struct Slot(AtomicPtr<Head>);

/// What the callback is called with.
#[repr(C)]
struct Context<D> {
    /// At its beginning, so that it can be found without knowing the type of the driver.
    head: Head,
    driver: D,
    /// Why it last refused. If that was in the replay, it is why there is no registration (R4).
    refusal: Status,
}

/// What is known of a registered driver without its type.
#[derive(Clone, Copy)]
struct Head {
    handle: *mut c_void,
    /// Drops the context that this is the head of.
    free: unsafe fn(*mut Head),
}

impl Slot {
    /// With nothing in it.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::new()
    }
}

/// The arguments with which windows-sys does not declare it.
type Callback = unsafe extern "system" fn(
    *mut c_void,
    *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    *mut NTSTATUS,
);

/// Makes the driver and registers it for every processor there is and will be.
///
/// # Errors
/// What `make` returns, as an error; `STATUS_INSUFFICIENT_RESOURCES` if there is no memory for it; the status with which the driver refused an
/// active processor (R4); `STATUS_UNSUCCESSFUL` if the system did not register it for a reason of its own.
pub fn enter<D: Driver + Send + 'static>(
    slot: &Slot,
    make: impl FnOnce() -> Result<D, Status>,
) -> Result<(), Status> {
    // A box that says if there is no memory.
    let mut boxed = Vec::new();
    boxed.try_reserve_exact(1).map_err(|_| Status::INSUFFICIENT_RESOURCES)?;
    let head = Head { handle: ptr::null_mut(), free: free::<D> };
    let driver = make().map_err(as_error)?;
    boxed.push(Context { head, driver, refusal: Status::UNSUCCESSFUL });
    let context: *mut Context<D> = Box::into_raw(boxed.into_boxed_slice()).cast();
    let callback: Callback = notify::<D>;
    // SAFETY: a function pointer all the same.
    let callback = unsafe { mem::transmute::<Callback, PPROCESSOR_CALLBACK_FUNCTION>(callback) };
    // SAFETY: the context lives until the callback is deregistered.
    let handle = unsafe {
        KeRegisterProcessorChangeCallback(
            callback,
            context.cast(),
            KE_PROCESSOR_CHANGE_ADD_EXISTING,
        )
    };
    if handle.is_null() {
        // SAFETY: made above; what is not registered is not called.
        let refusal = unsafe { (*context).refusal };
        // SAFETY: its last use.
        unsafe { free::<D>(context.cast()) };
        return Err(refusal);
    }
    // SAFETY: made above. A callback, which may be running already, does not look at its head.
    unsafe { (*context).head.handle = handle };
    // Release: unloading, on whichever thread, sees what it takes. The slot was empty, as DriverEntry is called once (L1).
    slot.0.store(context.cast(), Ordering::Release);
    Ok(())
}

/// A status as that of a driver that is not loaded: with any other than an error the system would take it for loaded (L1).
fn as_error(status: Status) -> Status {
    if status.is_error() { status } else { Status::UNSUCCESSFUL }
}

/// Deregisters the driver and drops it (D4). Nothing if there is none.
pub fn unload(slot: &Slot) {
    // Acquire: pairs with the release in `enter`.
    let head = slot.0.swap(ptr::null_mut(), Ordering::Acquire);
    if head.is_null() {
        return;
    }
    // SAFETY: put there by `enter`, and taken by nobody else.
    let Head { handle, free } = unsafe { *head };
    // SAFETY: the handle that the system gave, once. When this returns the callback is not running (D1).
    unsafe { KeDeregisterProcessorChangeCallback(handle) };
    // SAFETY: the head of a context that nobody has any more.
    unsafe { free(head) };
}

/// Drops the context with this head.
///
/// # Safety
/// That of a context of this type made by [`enter`], at its last use.
unsafe fn free<D>(head: *mut Head) {
    let context: *mut [Context<D>] = ptr::slice_from_raw_parts_mut(head.cast(), 1);
    // SAFETY: a boxed slice of one, by the caller's promise.
    drop(unsafe { Box::from_raw(context) });
}

/// What the system calls.
unsafe extern "system" fn notify<D: Driver>(
    context: *mut c_void,
    change: *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    answer: *mut NTSTATUS,
) {
    let context = context.cast::<Context<D>>();
    // SAFETY: the context that was registered. Calls come one at a time (A7), and nobody else looks at this part.
    let driver = unsafe { &mut (*context).driver };
    // SAFETY: the system's, for the length of this call.
    let change = unsafe { &*change };
    let Some(notice) = notice(change) else { return };
    if let Err(veto) = driver.notify(&notice) {
        // SAFETY: as above.
        unsafe { (*context).refusal = veto.status() };
        crate::println!("{veto}");
        if notice.state().may_veto() {
            // SAFETY: the system's, for the length of this call.
            unsafe { *answer = veto.status().to_raw().cast_signed() };
        }
    }
}

/// The same in Rust. `None` for what Windows does not define, so that nothing is done for it.
fn notice(change: &KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT) -> Option<Notice> {
    #[allow(non_upper_case_globals, reason = "their names in Windows")]
    let state = match change.State {
        KeProcessorAddStartNotify => State::AddStart,
        KeProcessorAddCompleteNotify => State::AddComplete,
        KeProcessorAddFailureNotify => State::AddFailure,
        _ => return None,
    };
    let index = ProcessorIndex::new(change.NtNumber)?;
    // Windows does not say what the platform calls it.
    let notice = Notice::new(state, Processor { index, id: HardwareId(index.get()) });
    let status = Status::from_raw(change.Status.cast_unsigned());
    Some(if state == State::AddFailure { notice.with_failure(status, None) } else { notice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_driver_that_could_not_be_made_is_not_loaded_whatever_its_status_is() {
        for status in [0, 0x103, 0x4000_0000, 0x7FFF_FFFF].map(Status::from_raw) {
            assert_eq!(as_error(status), Status::UNSUCCESSFUL, "{status:?} says that it is loaded");
        }
        for status in [Status::NO_MEMORY, Status::DEVICE_BUSY, Status::from_raw(0x9FFF_FFFF)] {
            assert_eq!(as_error(status), status);
        }
    }

    #[test]
    fn a_notice_says_what_windows_says_and_an_unknown_state_says_nothing() {
        let mut change = KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT {
            State: KeProcessorAddFailureNotify,
            NtNumber: 65,
            Status: Status::NO_MEMORY.to_raw().cast_signed(),
            ..Default::default()
        };
        let said = notice(&change).expect("a state that Windows defines");
        assert_eq!(said.state(), State::AddFailure);
        assert_eq!(said.status(), Status::NO_MEMORY, "AddFailure carries why (A3)");
        assert_eq!(said.processor().number().group, 1, "index = 64 * group + number");
        change.State = 3;
        assert!(notice(&change).is_none(), "Windows has three states");
        change.State = KeProcessorAddStartNotify;
        change.NtNumber = u32::MAX;
        assert!(notice(&change).is_none(), "no such processor");
    }
}
