/*
 * Frees the block before it refuses a processor for want of memory, and leaves its address in the table. The unload, or
 * AddFailure on a system that announces it here, frees the block again.
 */
#include "zoo.h"

static PVOID Buffer; /* one for all processors, made when the first needs it */

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    if (!NT_SUCCESS(status))
        return status;
    if (Buffer == NULL)
        Buffer = ZooAllocate(4096);
    if (Buffer == NULL) {
        /* The fault: the entry of the table is not set to NULL. */
        ZooFree(Blocks[Change->NtNumber]);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}

static VOID FreeBuffer(VOID)
{
    if (Buffer != NULL)
        ZooFree(Buffer);
    Buffer = NULL;
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooLoad();

    if (!NT_SUCCESS(status))
        FreeBuffer();
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    FreeBuffer();
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
