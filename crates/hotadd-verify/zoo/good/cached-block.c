/*
 * Keeps the block of one processor that did not join, for the next attempt. More memory than one block never stays, so
 * that it is not a leak.
 */
#include "../zoo.h"

static PBLOCK Spare;

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = Spare;
    NTSTATUS status;

    if (block == NULL)
        return ZooStart(Change);
    status = ZooInitialize(block, Change);
    if (NT_SUCCESS(status)) {
        Spare = NULL;
        Blocks[Change->NtNumber] = block;
    }
    return status;
}

static VOID Failure(PCHANGE Change)
{
    if (Spare != NULL) {
        ZooFailure(Change);
    } else {
        Spare = Blocks[Change->NtNumber];
        Blocks[Change->NtNumber] = NULL;
    }
}

static VOID FreeSpare(VOID)
{
    if (Spare != NULL)
        ZooFree(Spare);
    Spare = NULL;
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooLoad();

    if (!NT_SUCCESS(status))
        FreeSpare();
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    FreeSpare();
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(Load, Unload)
