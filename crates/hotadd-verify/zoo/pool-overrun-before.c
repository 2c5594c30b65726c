/*
 * Counts processors from 1. The counter of the first one lies before the block.
 */
#include "zoo.h"

static PULONG Joined; /* how often each processor has joined */

static VOID Complete(PCHANGE Change)
{
    LONG at = (LONG)Change->NtNumber - 1;

    ZooComplete(Change);
    /* The fault: the first index is 0. */
    Joined[at] = 1;
}

static NTSTATUS Load(VOID)
{
    SIZE_T size = ZooMaximum() * sizeof(*Joined);
    NTSTATUS status;

    Joined = (PULONG)ZooAllocate(size);
    if (Joined == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Joined, size);
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
