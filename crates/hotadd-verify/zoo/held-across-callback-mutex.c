/*
 * Acquires a fast mutex in AddStart and releases it when the outcome is known. In between all other drivers are called
 * at APC_LEVEL. If it refuses the processor itself, the outcome is not announced to it, and it never releases the mutex.
 */
#include "zoo.h"

static FAST_MUTEX Mutex;

static NTSTATUS Start(PCHANGE Change)
{
    /* The fault: it must be released before this returns. */
    ExAcquireFastMutex(&Mutex);
    return ZooStart(Change);
}

static VOID Complete(PCHANGE Change)
{
    ExReleaseFastMutex(&Mutex);
    ZooComplete(Change);
}

static VOID Failure(PCHANGE Change)
{
    ExReleaseFastMutex(&Mutex);
    ZooFailure(Change);
}

/* The existing processors are not announced: it would acquire the mutex twice. */
static NTSTATUS Load(VOID)
{
    ExInitializeFastMutex(&Mutex);
    return ZooLoadWith(ZooMaximum(), 0);
}

ZOO_CALLBACK(Start, Complete, Failure)
ZOO_DRIVER(Load, ZooUnload)
