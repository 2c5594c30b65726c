//! Registers one [`Driver`] with the system in `DriverEntry`, calls it, and deregisters it at unloading.

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

/// Stores a crate's only driver between `DriverEntry` and unloading.
pub struct Slot(AtomicPtr<Head>);

/// The context of the callback.
#[repr(C)]
struct Context<D> {
    /// It is the first field, so that it can be found without the driver's type.
    head: Head,
    driver: D,
    /// The status of its last refusal. If that was in the replay, it is why there is no registration (R4).
    refusal: Status,
}

/// The part of a registered driver that does not depend on its type.
#[derive(Clone, Copy)]
struct Head {
    handle: *mut c_void,
    /// Drops the context that contains this head.
    free: unsafe fn(*mut Head),
}

impl Slot {
    /// An empty slot.
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

/// The callback's type with its parameters, which windows-sys does not declare.
type Callback = unsafe extern "system" fn(
    *mut c_void,
    *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    *mut NTSTATUS,
);

/// Makes the driver and registers it for all present and future processors.
///
/// # Errors
/// The status that `make` returns, as an error; `STATUS_INSUFFICIENT_RESOURCES` if there is not enough memory; the
/// status with which the driver refused an active processor (R4); `STATUS_UNSUCCESSFUL` if the system refused the
/// registration for a reason of its own.
pub fn enter<D: Driver + Send + 'static>(
    slot: &Slot,
    make: impl FnOnce() -> Result<D, Status>,
) -> Result<(), Status> {
    // Unlike `Box::new`, this reports a lack of memory.
    let mut boxed = Vec::new();
    boxed.try_reserve_exact(1).map_err(|_| Status::INSUFFICIENT_RESOURCES)?;
    let head = Head { handle: ptr::null_mut(), free: free::<D> };
    // With any other status the system would consider the driver loaded (L1).
    let driver = make().map_err(Status::as_error)?;
    boxed.push(Context { head, driver, refusal: Status::UNSUCCESSFUL });
    let context: *mut Context<D> = Box::into_raw(boxed.into_boxed_slice()).cast();
    let callback: Callback = notify::<D>;
    // SAFETY: both types are function pointers.
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
        // SAFETY: the context was made above; without a registration no callback runs.
        let refusal = unsafe { (*context).refusal };
        // SAFETY: this is its last use.
        unsafe { free::<D>(context.cast()) };
        return Err(refusal);
    }
    // SAFETY: the context was made above. A callback, which may already be running, does not access its head.
    unsafe { (*context).head.handle = handle };
    // Release: unloading, on any thread, sees the context. The slot was empty, because DriverEntry is called once
    // (L1).
    slot.0.store(context.cast(), Ordering::Release);
    Ok(())
}

/// Deregisters the driver and drops it (D4). Does nothing if there is none.
pub fn unload(slot: &Slot) {
    // Acquire: pairs with the release in `enter`.
    let head = slot.0.swap(ptr::null_mut(), Ordering::Acquire);
    if head.is_null() {
        return;
    }
    // SAFETY: `enter` stored it, and nothing else has taken it.
    let Head { handle, free } = unsafe { *head };
    // SAFETY: this is the handle that the system returned, used once. When this returns the callback is not running
    // (D1).
    unsafe { KeDeregisterProcessorChangeCallback(handle) };
    // SAFETY: nothing else uses the context with this head any more.
    unsafe { free(head) };
}

/// Drops the context with this head.
///
/// # Safety
/// The head belongs to a context of this type that [`enter`] made, and this is its last use.
unsafe fn free<D>(head: *mut Head) {
    let context: *mut [Context<D>] = ptr::slice_from_raw_parts_mut(head.cast(), 1);
    // SAFETY: the caller guarantees that it is a boxed slice of one element.
    drop(unsafe { Box::from_raw(context) });
}

/// The callback that the system calls.
unsafe extern "system" fn notify<D: Driver>(
    context: *mut c_void,
    change: *const KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT,
    answer: *mut NTSTATUS,
) {
    let context = context.cast::<Context<D>>();
    // SAFETY: this is the registered context. Calls come one at a time (A7), and nothing else accesses this part.
    let driver = unsafe { &mut (*context).driver };
    // SAFETY: the system provides it for the duration of this call.
    let change = unsafe { &*change };
    let Some(notice) = notice(change) else { return };
    if let Err(veto) = driver.notify(&notice) {
        // SAFETY: this is the registered context. Calls come one at a time (A7), and `driver` is another part of it.
        unsafe { (*context).refusal = veto.status() };
        crate::println!("{veto}");
        if notice.state().may_veto() {
            // SAFETY: the system provides it for the duration of this call.
            unsafe { *answer = veto.status().to_raw().cast_signed() };
        }
    }
}

/// The notice as a Rust type. `None` for states that Windows does not define, which are ignored.
fn notice(change: &KE_PROCESSOR_CHANGE_NOTIFY_CONTEXT) -> Option<Notice> {
    #[expect(non_upper_case_globals, reason = "their names in Windows")]
    let state = match change.State {
        KeProcessorAddStartNotify => State::AddStart,
        KeProcessorAddCompleteNotify => State::AddComplete,
        KeProcessorAddFailureNotify => State::AddFailure,
        _ => return None,
    };
    let index = ProcessorIndex::new(change.NtNumber)?;
    // Windows does not report the platform's id of the processor.
    let notice = Notice::new(state, Processor { index, id: HardwareId(index.get()) });
    let status = Status::from_raw(change.Status.cast_unsigned());
    Some(if state == State::AddFailure { notice.with_failure(status, None) } else { notice })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_driver_that_cannot_be_created_is_not_loaded_whatever_its_status() {
        for status in [0, 0x103, 0x4000_0000, 0x7FFF_FFFF].map(Status::from_raw) {
            assert_eq!(
                status.as_error(),
                Status::UNSUCCESSFUL,
                "{status:?} says that it is loaded"
            );
        }
        for status in [Status::NO_MEMORY, Status::DEVICE_BUSY, Status::from_raw(0x9FFF_FFFF)] {
            assert_eq!(status.as_error(), status);
        }
    }

    #[test]
    fn a_notice_is_converted_from_windows_form_and_an_unknown_state_is_ignored() {
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
