/*
 * Takes a processor's index for its number in group 0 when it aims the DPC. There is no such processor in group 0, so that
 * every processor of another group is refused.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;
    NTSTATUS status = ZooMakeBlock(Change, &block);
    PROCESSOR_NUMBER number;

    if (!NT_SUCCESS(status))
        return status;
    RtlZeroMemory(&number, sizeof(number));
    /* The fault: ProcNumber has the group and the number. */
    number.Number = (UCHAR)Change->NtNumber;
    status = KeSetTargetProcessorDpcEx(&block->Dpc, &number);
    if (NT_SUCCESS(status))
        Blocks[Change->NtNumber] = block;
    else
        ZooFree(block);
    return status;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
