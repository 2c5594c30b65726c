/*
 * Does nothing in AddFailure. The block of the processor stays in the table until the next attempt puts another in its
 * place: each failed attempt but the last loses a block.
 */
#include "zoo.h"

static VOID Failure(PCHANGE Change)
{
    /* The fault: the block must be freed. */
    DbgPrint("zoo: processor %lu did not join\n", Change->NtNumber);
}

ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
ZOO_DRIVER(ZooLoad, ZooUnload)
