//! A pointer that cannot be an object is reported by name, in every kind of function that takes one.

use crate::host::trial::run;

/// Functions whose first argument, or all arguments, are addresses of objects.
const SAMPLE: [&str; 27] = [
    "ExInterlockedInsertHeadList",
    "ExInterlockedPopEntryList",
    "ExInterlockedAddUlong",
    "ExInitializeNPagedLookasideList",
    "ExFlushLookasideListEx",
    "ExInitializeFastMutex",
    "KeAcquireGuardedMutex",
    "ExAcquirePushLockExclusiveEx",
    "ExInitializeResourceLite",
    "ExIsResourceAcquiredSharedLite",
    "ExInitializeRundownProtection",
    "ExpInterlockedPopEntrySList",
    "ExAcquireSpinLockShared",
    "ExQueueWorkItem",
    "KeSignalCallDpcDone",
    "KeInitializeDpc",
    "KeSetEvent",
    "KeInitializeSemaphore",
    "KeReleaseMutex",
    "KeQueryPriorityThread",
    "KeInitializeSpinLock",
    "KeAcquireSpinLockRaiseToDpc",
    "KeReleaseInStackQueuedSpinLock",
    "KeSetTimer",
    "KeCancelTimer",
    "KeWaitForSingleObject",
    "PsGetThreadId",
];

#[test]
fn a_null_pointer_is_reported_as_such() {
    for name in SAMPLE {
        for abi in ["win64", "sysv"] {
            let outcome = run("export", &format!("{abi} {name} 0"));
            let said = format!("passes NULL to {name}, which does not allow it");
            assert_eq!(outcome.said, said, "{outcome:?}");
            assert_eq!(outcome.status, Some(0xC000_0005), "{name}: {outcome:?}");
        }
    }
    for name in ["KeDelayExecutionThread", "KeRaiseIrql", "KeAcquireSpinLock"] {
        let outcome = run("export", &format!("sysv {name} 0"));
        let said = format!("passes NULL to {name}, which does not allow it");
        assert_eq!(outcome.said, said, "{outcome:?}");
    }
}

#[test]
fn a_misaligned_pointer_is_reported_as_such() {
    for name in SAMPLE {
        let outcome = run("export", &format!("sysv {name} 4097"));
        let said = format!("passes the address 0x1001 to {name}, and it must be a multiple of ");
        assert!(outcome.said.starts_with(&said), "{outcome:?}");
        assert_eq!(outcome.status, Some(0x8000_0002), "{name}: {outcome:?}");
    }
}
