/*
 * Has its blocks on a list too, and frees the block of a processor that did not join without taking it from the list. The
 * next AddStart writes the address of its block into the freed one.
 */
#define BLOCK_HAS LIST_ENTRY Link;
#include "zoo.h"

static LIST_ENTRY List;

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    if (NT_SUCCESS(status))
        InsertTailList(&List, &Blocks[Change->NtNumber]->Link);
    return status;
}

static NTSTATUS Load(VOID)
{
    InitializeListHead(&List);
    return ZooLoad();
}

/* The fault: ZooFailure does not know of the list. */
ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
