/*
 * Acquires the table's mutex and then the counter's in AddStart, and in the other order in AddComplete. If other code of
 * the driver does either at the same time, both wait for ever.
 */
#include "zoo.h"

static FAST_MUTEX TableMutex, CounterMutex;
static ULONG Announced, Joined;

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status;

    ExAcquireFastMutex(&TableMutex);
    status = ZooStart(Change);
    ExAcquireFastMutex(&CounterMutex);
    Announced++;
    ExReleaseFastMutex(&CounterMutex);
    ExReleaseFastMutex(&TableMutex);
    return status;
}

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    ExAcquireFastMutex(&CounterMutex);
    /* The fault: the table's mutex comes first. */
    ExAcquireFastMutex(&TableMutex);
    if (Blocks[Change->NtNumber] != NULL)
        Joined++;
    ExReleaseFastMutex(&TableMutex);
    ExReleaseFastMutex(&CounterMutex);
}

static NTSTATUS Load(VOID)
{
    ExInitializeFastMutex(&TableMutex);
    ExInitializeFastMutex(&CounterMutex);
    return ZooLoad();
}

ZOO_CALLBACK(Start, Complete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
