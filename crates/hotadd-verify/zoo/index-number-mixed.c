/*
 * Takes a processor's number in its group for its index when it aims the DPC. In every group but the first the DPC runs on
 * a processor of the first group, and prepares that one instead.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;
    NTSTATUS status = ZooMakeBlock(Change, &block);
    PROCESSOR_NUMBER number;

    if (!NT_SUCCESS(status))
        return status;
    /* The fault: NtNumber is the index. */
    status = KeGetProcessorNumberFromIndex(Change->ProcNumber.Number, &number);
    if (NT_SUCCESS(status))
        status = KeSetTargetProcessorDpcEx(&block->Dpc, &number);
    if (NT_SUCCESS(status))
        Blocks[Change->NtNumber] = block;
    else
        ZooFree(block);
    return status;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
