/*
 * Returns with its spin lock held, if there is no memory for a block. The next driver is called at DISPATCH_LEVEL, and the
 * next processor hangs the system.
 */
#include "zoo.h"

static KSPIN_LOCK Lock;

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;
    NTSTATUS status;
    KIRQL old;

    KeAcquireSpinLock(&Lock, &old);
    status = ZooMakeBlock(Change, &block);
    /* The fault: the lock is not released. */
    if (!NT_SUCCESS(status))
        return status;
    Blocks[Change->NtNumber] = block;
    KeReleaseSpinLock(&Lock, old);
    return STATUS_SUCCESS;
}

static NTSTATUS Load(VOID)
{
    KeInitializeSpinLock(&Lock);
    return ZooLoad();
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
