/*
 * Uses a processor's number in its group as the index of its table. Processor 0 of the second group gets the entry of
 * processor 0 of the first: one block is lost, and both use the other.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    /* The fault, here and below: NtNumber is the index. */
    return ZooMakeBlock(Change, &Blocks[Change->ProcNumber.Number]);
}

static VOID Complete(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->ProcNumber.Number];

    if (block != NULL && KeInsertQueueDpc(&block->Dpc, NULL, NULL))
        KeWaitForSingleObject(&block->Ran, Executive, KernelMode, FALSE, NULL);
}

static VOID Failure(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->ProcNumber.Number];

    Blocks[Change->ProcNumber.Number] = NULL;
    if (block != NULL)
        ZooFree(block);
}

ZOO_CALLBACK(Start, Complete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
