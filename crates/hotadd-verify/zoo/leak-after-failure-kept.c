/*
 * Puts the block of a processor that did not join on a list, which it frees when it is unloaded. Until then each failed
 * attempt takes more memory. A driver like this is usually never unloaded.
 */
#define BLOCK_HAS struct _BLOCK *Next;
#include "zoo.h"

static PBLOCK Kept;

static VOID Failure(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->NtNumber];

    if (block == NULL)
        return;
    Blocks[Change->NtNumber] = NULL;
    /* The fault: AddStart does not use what is on the list. */
    block->Next = Kept;
    Kept = block;
}

static VOID FreeKept(VOID)
{
    PBLOCK block;

    while ((block = Kept) != NULL) {
        Kept = block->Next;
        ZooFree(block);
    }
}

static VOID Unload(VOID)
{
    ZooUnload();
    FreeKept();
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooLoad();

    if (!NT_SUCCESS(status))
        FreeKept();
    return status;
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(Load, Unload)
