/*
 * Acquires two spin locks in one order when a processor is announced, and in the other when it did not join. If another
 * thread of the driver does either at the same time, two processors spin for ever.
 */
#include "zoo.h"

static KSPIN_LOCK TableLock, CounterLock;
static ULONG Announced;

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status;
    KIRQL old;

    KeAcquireSpinLock(&TableLock, &old);
    status = ZooStart(Change);
    KeAcquireSpinLockAtDpcLevel(&CounterLock);
    Announced++;
    KeReleaseSpinLockFromDpcLevel(&CounterLock);
    KeReleaseSpinLock(&TableLock, old);
    return status;
}

static VOID Failure(PCHANGE Change)
{
    KIRQL old;

    KeAcquireSpinLock(&CounterLock, &old);
    /* The fault: the table's lock comes first. */
    KeAcquireSpinLockAtDpcLevel(&TableLock);
    ZooFailure(Change);
    Announced--;
    KeReleaseSpinLockFromDpcLevel(&TableLock);
    KeReleaseSpinLock(&CounterLock, old);
}

static NTSTATUS Load(VOID)
{
    KeInitializeSpinLock(&TableLock);
    KeInitializeSpinLock(&CounterLock);
    return ZooLoad();
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(Load, ZooUnload)
