/*
 * Counts the processors of each group, under a mutex that it holds inside its callback only, and runs once on each
 * processor that has joined.
 */
#include "../zoo.h"

static FAST_MUTEX Mutex;
static PULONG Joined; /* by group */

static VOID Complete(PCHANGE Change)
{
    GROUP_AFFINITY affinity, previous;
    PROCESSOR_NUMBER number;
    ULONG index;

    ExAcquireFastMutex(&Mutex);
    Joined[Change->ProcNumber.Group]++;
    ExReleaseFastMutex(&Mutex);
    ZooComplete(Change);

    if (!NT_SUCCESS(KeGetProcessorNumberFromIndex(Change->NtNumber, &number)))
        return;
    RtlZeroMemory(&affinity, sizeof(affinity));
    affinity.Group = number.Group;
    affinity.Mask = (KAFFINITY)1 << number.Number;
    KeSetSystemGroupAffinityThread(&affinity, &previous);
    index = KeGetCurrentProcessorNumberEx(NULL);
    KeRevertToUserGroupAffinityThread(&previous);
    DbgPrint("zoo: processor %lu is number %lu of group %lu, seen from %lu\n", Change->NtNumber, (ULONG)number.Number,
             (ULONG)number.Group, index);
}

static NTSTATUS Load(VOID)
{
    SIZE_T size = KeQueryMaximumGroupCount() * sizeof(*Joined);
    NTSTATUS status;

    Joined = (PULONG)ZooAllocate(size);
    if (Joined == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Joined, size);
    ExInitializeFastMutex(&Mutex);
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        ZooFree(Joined);
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    ZooFree(Joined);
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, Unload)
