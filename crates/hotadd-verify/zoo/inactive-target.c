/*
 * Queues the DPC in AddStart, before the processor is started. It does not run there, and a driver that waits for it
 * hangs.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    /* The fault: this belongs into AddComplete. */
    if (NT_SUCCESS(status))
        KeInsertQueueDpc(&Blocks[Change->NtNumber]->Dpc, NULL, NULL);
    return status;
}

static VOID Failure(PCHANGE Change)
{
    if (Blocks[Change->NtNumber] != NULL && !KeRemoveQueueDpc(&Blocks[Change->NtNumber]->Dpc))
        KeFlushQueuedDpcs();
    ZooFailure(Change);
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
