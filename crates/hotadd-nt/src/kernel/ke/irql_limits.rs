//! The highest IRQL at which a driver may call a function, from the functions' public pages. Many functions work here at any IRQL, and a
//! driver's mistake would show on Windows only: a verifier compares each call with this table.

use crate::ground::thread;
use crate::kernel::ke::irql::{APC, DISPATCH, PASSIVE};

/// The calling thread's IRQL.
#[must_use]
pub fn current_irql() -> u8 {
    thread::own().irql.get()
}

/// The highest IRQL at which this function may be called. `None` if its page sets no limit, or none that depends on nothing else.
#[must_use]
pub fn highest_irql(function: &str) -> Option<u8> {
    TABLE.iter().find(|(_, names)| names.contains(&function)).map(|(most, _)| *most)
}

/// By level, the functions that may be called up to it.
const TABLE: &[(u8, &[&str])] = &[
    (
        PASSIVE,
        &[
            "KeRegisterProcessorChangeCallback",
            "KeDeregisterProcessorChangeCallback",
            "KeFlushQueuedDpcs",
            "PsCreateSystemThread",
            "PsTerminateSystemThread",
            "ObReferenceObjectByHandle",
            "ObOpenObjectByPointer",
            "ZwClose",
            "MmGetSystemRoutineAddress",
            "ExCreateCallback",
            "IoCreateDevice",
            "IoCreateSymbolicLink",
            "IoDeleteSymbolicLink",
            "IoCreateUnprotectedSymbolicLink",
            "IoCreateNotificationEvent",
            "IoCreateSynchronizationEvent",
            "IoGetDeviceObjectPointer",
            "IoRegisterPlugPlayNotification",
            "IoUnregisterPlugPlayNotification",
            "IoUnregisterPlugPlayNotificationEx",
            "RtlAnsiStringToUnicodeString",
            "RtlUnicodeStringToAnsiString",
            "RtlFreeUnicodeString",
            "RtlFreeAnsiString",
            "RtlStringFromGUID",
            "RtlGUIDFromString",
            "RtlGetVersion",
            "RtlVerifyVersionInfo",
        ],
    ),
    (
        APC,
        &[
            "ExRegisterCallback",
            "ExUnregisterCallback",
            "ExAcquireFastMutex",
            "ExTryToAcquireFastMutex",
            "KeAcquireGuardedMutex",
            "KeReleaseGuardedMutex",
            "ExAcquirePushLockExclusiveEx",
            "ExAcquirePushLockSharedEx",
            "ExReleasePushLockExclusiveEx",
            "ExReleasePushLockSharedEx",
            "ExAcquireResourceExclusiveLite",
            "ExAcquireResourceSharedLite",
            "ExInitializePagedLookasideList",
            "ExDeletePagedLookasideList",
            "KeDelayExecutionThread",
            "KeSetSystemGroupAffinityThread",
            "KeRevertToUserGroupAffinityThread",
            "KeEnterCriticalRegion",
            "KeLeaveCriticalRegion",
            "KeEnterGuardedRegion",
            "KeLeaveGuardedRegion",
            "IoDeleteDevice",
            "KeGenericCallDpc",
        ],
    ),
    (
        DISPATCH,
        &[
            "ExAllocatePool",
            "ExAllocatePoolWithTag",
            "ExAllocatePool2",
            "ExFreePool",
            "ExFreePoolWithTag",
            "IoAllocateWorkItem",
            "IoFreeWorkItem",
            "IoQueueWorkItem",
            "ExQueueWorkItem",
            "IoAllocateMdl",
            "IoFreeMdl",
            "MmBuildMdlForNonPagedPool",
            "MmUnlockPages",
            "KeSetEvent",
            "KeResetEvent",
            "KeReleaseSemaphore",
            "KeReleaseMutex",
            "KeSetTimer",
            "KeSetTimerEx",
            "KeCancelTimer",
            "KeAcquireSpinLockRaiseToDpc",
            "ExInitializeNPagedLookasideList",
            "ExDeleteNPagedLookasideList",
            "IoFreeIrp",
            "IoAllocateIrp",
            "IofCompleteRequest",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::exports;

    #[test]
    fn the_table_names_functions_that_exist_each_once() {
        let names: Vec<&str> = TABLE.iter().flat_map(|(_, names)| *names).copied().collect();
        for (at, name) in names.iter().enumerate() {
            assert!(exports::find(name).is_some(), "{name} is not a function");
            assert!(!names[..at].contains(name), "{name} is there twice");
        }
        assert_eq!(highest_irql("PsCreateSystemThread"), Some(PASSIVE));
        assert_eq!(highest_irql("KeGetCurrentIrql"), None);
    }
}
