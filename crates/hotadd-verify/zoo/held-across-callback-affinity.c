/*
 * Runs on the new processor to measure it, and returns without going back. The system's thread stays on that processor,
 * and calls the callbacks of all later drivers there.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    GROUP_AFFINITY affinity = ZooAffinity(Change);

    ZooComplete(Change);
    KeSetSystemGroupAffinityThread(&affinity, NULL);
    /* The fault: KeRevertToUserGroupAffinityThread. */
    DbgPrint("zoo: on processor %lu\n", KeGetCurrentProcessorNumberEx(NULL));
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
