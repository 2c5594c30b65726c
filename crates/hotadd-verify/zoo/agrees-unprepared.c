/*
 * Agrees to a processor although there was no memory for its block, and does without the block from then on. Nothing
 * crashes, and nobody is told that the driver does not work on that processor.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    PBLOCK block = NULL;

    /* The fault: the status must be returned. */
    ZooMakeBlock(Change, &block);
    Blocks[Change->NtNumber] = block;
    return STATUS_SUCCESS;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
