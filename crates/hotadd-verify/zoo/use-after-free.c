/*
 * Frees the block of a processor that did not join, and reads its index afterwards. The memory may have another owner by
 * then.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->NtNumber];

    if (block == NULL)
        return;
    ZooFailure(Change);
    /* The fault: the block is free. */
    DbgPrint("zoo: processor %lu did not join\n", block->Index);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
