/*
 * Frees the block of a processor that did not join with another tag than it was allocated with. The system stops with
 * BAD_POOL_CALLER.
 */
#include "zoo.h"

#define OLD_TAG 'ooZ1'

static VOID Failure(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->NtNumber];

    Blocks[Change->NtNumber] = NULL;
    /* The fault: it is ZOO_TAG everywhere else. */
    if (block != NULL)
        ExFreePoolWithTag(block, OLD_TAG);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
