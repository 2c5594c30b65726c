/*
 * Frees the block of a processor that did not join, and leaves its address in the table. The unload frees it again: the
 * system stops with BAD_POOL_CALLER.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    /* The fault: the entry of the table is not set to NULL. */
    if (Blocks[Change->NtNumber] != NULL)
        ZooFree(Blocks[Change->NtNumber]);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
