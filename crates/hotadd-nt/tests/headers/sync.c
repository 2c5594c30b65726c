/* Events, semaphores, mutexes, resources and waiting. */
#include <ntddk.h>

typedef struct _STATE {
    KEVENT Event;
    KSEMAPHORE Semaphore;
    KMUTEX Mutex;
    FAST_MUTEX Fast;
    KGUARDED_MUTEX Guarded;
    ERESOURCE Resource;
    EX_RUNDOWN_REF Rundown;
} STATE, *PSTATE;

extern NTSTATUS Wait(PSTATE State);
extern NTSTATUS Lock(PSTATE State);

NTSTATUS Wait(PSTATE State)
{
    PVOID objects[2];
    KWAIT_BLOCK blocks[2];
    LARGE_INTEGER timeout;
    NTSTATUS status;

    KeInitializeEvent(&State->Event, NotificationEvent, FALSE);
    KeInitializeSemaphore(&State->Semaphore, 0, 10);
    KeInitializeMutex(&State->Mutex, 0);

    timeout.QuadPart = -10 * 1000 * 1000;
    status = KeWaitForSingleObject(&State->Event, Executive, KernelMode, FALSE, &timeout);
    if (status == STATUS_TIMEOUT)
        KeSetEvent(&State->Event, IO_NO_INCREMENT, FALSE);
    if (KeReadStateEvent(&State->Event) && KeResetEvent(&State->Event))
        KeClearEvent(&State->Event);

    KeReleaseSemaphore(&State->Semaphore, 0, 1, FALSE);
    objects[0] = &State->Semaphore;
    objects[1] = &State->Mutex;
    status = KeWaitForMultipleObjects(RTL_NUMBER_OF(objects), objects, WaitAll, UserRequest, KernelMode, TRUE, NULL,
                                      blocks);
    if (status == STATUS_ALERTED || status == STATUS_USER_APC)
        return status;
    KeReleaseMutex(&State->Mutex, FALSE);
    if (KeReadStateSemaphore(&State->Semaphore) || !KeReadStateMutex(&State->Mutex))
        return STATUS_UNSUCCESSFUL;
    return KeDelayExecutionThread(KernelMode, FALSE, &timeout);
}

NTSTATUS Lock(PSTATE State)
{
    NTSTATUS status;

    ExInitializeFastMutex(&State->Fast);
    ExAcquireFastMutex(&State->Fast);
    ExReleaseFastMutex(&State->Fast);
    if (ExTryToAcquireFastMutex(&State->Fast))
        ExReleaseFastMutex(&State->Fast);

    KeInitializeGuardedMutex(&State->Guarded);
    KeAcquireGuardedMutex(&State->Guarded);
    KeReleaseGuardedMutex(&State->Guarded);

    KeEnterCriticalRegion();
    ExAcquireFastMutexUnsafe(&State->Fast);
    ExReleaseFastMutexUnsafe(&State->Fast);
    KeLeaveCriticalRegion();
    KeEnterGuardedRegion();
    KeLeaveGuardedRegion();

    status = ExInitializeResourceLite(&State->Resource);
    if (!NT_SUCCESS(status))
        return status;
    KeEnterCriticalRegion();
    if (ExAcquireResourceSharedLite(&State->Resource, TRUE))
        ExReleaseResourceLite(&State->Resource);
    ExAcquireResourceExclusiveLite(&State->Resource, TRUE);
    if (ExIsResourceAcquiredExclusiveLite(&State->Resource))
        ExConvertExclusiveToSharedLite(&State->Resource);
    ExReleaseResourceLite(&State->Resource);
    KeLeaveCriticalRegion();

    ExInitializeRundownProtection(&State->Rundown);
    if (ExAcquireRundownProtection(&State->Rundown))
        ExReleaseRundownProtection(&State->Rundown);
    ExWaitForRundownProtectionRelease(&State->Rundown);
    return ExDeleteResourceLite(&State->Resource);
}
