/*
 * Leaves a critical region that it has not entered. From then on the thread's count is wrong: it can be suspended while
 * it holds a lock of the system.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    /* The fault: KeEnterCriticalRegion is missing. */
    KeLeaveCriticalRegion();
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
