/*
 * Refuses a processor if there is no memory for its buffer, and forgets the block that it has allocated before. Each
 * refusal loses a block. The failure is not announced to the driver that refuses.
 */
#define BLOCK_HAS PVOID Buffer;
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;
    NTSTATUS status = ZooMakeBlock(Change, &block);

    if (!NT_SUCCESS(status))
        return status;
    block->Buffer = ZooAllocate(4096);
    /* The fault: the block is not freed. */
    if (block->Buffer == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Blocks[Change->NtNumber] = block;
    return STATUS_SUCCESS;
}

static VOID FreeBuffer(ULONG Index)
{
    if (Blocks[Index] != NULL)
        ZooFree(Blocks[Index]->Buffer);
}

static VOID Failure(PCHANGE Change)
{
    FreeBuffer(Change->NtNumber);
    ZooFailure(Change);
}

static VOID Unload(VOID)
{
    ULONG index;

    KeDeregisterProcessorChangeCallback(Registration);
    for (index = 0; index < Maximum; index++)
        FreeBuffer(index);
    ZooFreeTable();
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, Unload)
