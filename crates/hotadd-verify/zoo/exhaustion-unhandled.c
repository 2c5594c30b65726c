/*
 * Does not check whether there was memory for a block. When there is none, it writes to address 0 and the system stops.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = (PBLOCK)ZooAllocate(sizeof(*block));
    NTSTATUS status;

    /* The fault: block may be NULL. */
    status = ZooInitialize(block, Change);
    if (NT_SUCCESS(status))
        Blocks[Change->NtNumber] = block;
    else
        ZooFree(block);
    return status;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
