/*
 * Clears one counter more than there are. What is behind the block belongs to another driver.
 */
#include "zoo.h"

static PULONG Joined; /* how often each processor has joined, by index */

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    Joined[Change->NtNumber]++;
}

static NTSTATUS Load(VOID)
{
    ULONG count = ZooMaximum();
    NTSTATUS status;
    ULONG index;

    Joined = (PULONG)ZooAllocate(count * sizeof(*Joined));
    if (Joined == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    /* The fault: < instead of <= */
    for (index = 0; index <= count; index++)
        Joined[index] = 0;
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
