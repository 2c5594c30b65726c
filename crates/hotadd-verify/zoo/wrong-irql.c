/*
 * Allocates paged memory while it holds a spin lock. If the system has to read a page from disk for that, it stops with
 * IRQL_NOT_LESS_OR_EQUAL. Mostly it does not have to.
 */
#include "zoo.h"

static KSPIN_LOCK Lock;
static PULONG Joined; /* how often each processor has joined, by index */

static NTSTATUS Start(PCHANGE Change)
{
    KIRQL old;

    KeAcquireSpinLock(&Lock, &old);
    /* The fault: NonPagedPoolNx, or outside of the lock. */
    if (Joined == NULL)
        Joined = (PULONG)ExAllocatePoolWithTag(PagedPool, Maximum * sizeof(*Joined), ZOO_TAG);
    KeReleaseSpinLock(&Lock, old);
    return Joined != NULL ? ZooStart(Change) : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID FreeCounters(VOID)
{
    if (Joined != NULL)
        ZooFree(Joined);
    Joined = NULL;
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    KeInitializeSpinLock(&Lock);
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        FreeCounters();
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    FreeCounters();
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
