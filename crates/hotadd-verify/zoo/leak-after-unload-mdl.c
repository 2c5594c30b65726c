/*
 * Has a memory descriptor list (MDL) for each processor, and frees it when a processor does not join, but not at the
 * unload. What is lost is not in a block of this driver's tag.
 */
#define BLOCK_HAS PMDL Mdl;
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;
    NTSTATUS status = ZooMakeBlock(Change, &block);

    if (!NT_SUCCESS(status))
        return status;
    block->Mdl = IoAllocateMdl(block, sizeof(*block), FALSE, FALSE, NULL);
    if (block->Mdl == NULL) {
        ZooFree(block);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    MmBuildMdlForNonPagedPool(block->Mdl);
    Blocks[Change->NtNumber] = block;
    return STATUS_SUCCESS;
}

static VOID Failure(PCHANGE Change)
{
    if (Blocks[Change->NtNumber] != NULL)
        IoFreeMdl(Blocks[Change->NtNumber]->Mdl);
    ZooFailure(Change);
}

/* The fault: ZooUnload frees the blocks, and knows nothing of their lists. */
ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
