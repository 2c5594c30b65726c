/*
 * Waits for the DPC while it holds a spin lock. At DISPATCH_LEVEL no other thread can run on this processor: the system
 * stops or hangs.
 */
#include "zoo.h"

static KSPIN_LOCK Lock;

static VOID Complete(PCHANGE Change)
{
    KIRQL old;

    KeAcquireSpinLock(&Lock, &old);
    /* The fault: this waits. */
    ZooComplete(Change);
    KeReleaseSpinLock(&Lock, old);
}

static NTSTATUS Load(VOID)
{
    KeInitializeSpinLock(&Lock);
    return ZooLoad();
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
