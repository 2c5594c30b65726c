/*
 * Assumes in AddFailure that there is a block. On a system that announces the failure also to the driver that refused the
 * processor, there is none, and the system stops.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    /* The fault: the block may be NULL. */
    DbgPrint("zoo: processor %lu did not join\n", Blocks[Change->NtNumber]->Index);
    ZooFailure(Change);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
