/*
 * Does not check whether there was memory for a memory descriptor list. When there is none, the system stops.
 */
#define BLOCK_HAS PMDL Mdl;
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);
    PBLOCK block = Blocks[Change->NtNumber];

    if (!NT_SUCCESS(status))
        return status;
    block->Mdl = IoAllocateMdl(block, sizeof(*block), FALSE, FALSE, NULL);
    /* The fault: it may be NULL. */
    MmBuildMdlForNonPagedPool(block->Mdl);
    return STATUS_SUCCESS;
}

static VOID FreeMdl(ULONG Index)
{
    if (Blocks[Index] != NULL)
        IoFreeMdl(Blocks[Index]->Mdl);
}

static VOID Failure(PCHANGE Change)
{
    FreeMdl(Change->NtNumber);
    ZooFailure(Change);
}

static VOID Unload(VOID)
{
    ULONG index;

    KeDeregisterProcessorChangeCallback(Registration);
    for (index = 0; index < Maximum; index++)
        FreeMdl(index);
    ZooFreeTable();
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, Unload)
