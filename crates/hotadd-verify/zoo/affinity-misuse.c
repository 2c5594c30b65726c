/*
 * Wants to run on the new processor in AddStart, when it is not yet active. The call has no effect: the code runs on
 * another processor, and sets that one up a second time.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    GROUP_AFFINITY affinity = ZooAffinity(Change), previous;

    /* The fault: this belongs into AddComplete. */
    KeSetSystemGroupAffinityThread(&affinity, &previous);
    DbgPrint("zoo: processor %lu: on %lu\n", Change->NtNumber, KeGetCurrentProcessorNumberEx(NULL));
    KeRevertToUserGroupAffinityThread(&previous);
    return ZooStart(Change);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
