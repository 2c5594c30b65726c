/*
 * Is unloaded without deregistering. At the next added processor the system calls a function that is gone, and stops.
 */
#include "zoo.h"

static VOID Unload(VOID)
{
    /* The fault: KeDeregisterProcessorChangeCallback is missing. */
    ZooFreeTable();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, Unload)
