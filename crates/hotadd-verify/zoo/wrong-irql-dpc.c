/*
 * Acquires a fast mutex in its DPC. DPCs run at DISPATCH_LEVEL, where no thread may wait for a mutex.
 */
#include "zoo.h"

static FAST_MUTEX Mutex;
static ULONG Ran;
static KDEFERRED_ROUTINE Count;

static VOID NTAPI Count(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    /* The fault: a spin lock, or an interlocked operation. */
    ExAcquireFastMutex(&Mutex);
    Ran++;
    ExReleaseFastMutex(&Mutex);
    ZooDpc(Dpc, Context, Argument1, Argument2);
}

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);
    PBLOCK block = Blocks[Change->NtNumber];

    if (!NT_SUCCESS(status))
        return status;
    KeInitializeDpc(&block->Dpc, Count, block);
    /* Cannot fail: ZooStart has aimed at the same processor. */
    KeSetTargetProcessorDpcEx(&block->Dpc, &Change->ProcNumber);
    return STATUS_SUCCESS;
}

static NTSTATUS Load(VOID)
{
    ExInitializeFastMutex(&Mutex);
    return ZooLoad();
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
