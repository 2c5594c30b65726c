/*
 * Sets two of the three members of a GROUP_AFFINITY. The third has what was on the stack. If that is not zero, the call
 * has no effect, and the code runs on any processor.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    GROUP_AFFINITY affinity, previous;

    /* The fault: Reserved must be zero. ZooAffinity clears the whole structure. */
    affinity.Group = Change->ProcNumber.Group;
    affinity.Mask = (KAFFINITY)1 << Change->ProcNumber.Number;
    KeSetSystemGroupAffinityThread(&affinity, &previous);
    DbgPrint("zoo: processor %lu: on %lu\n", Change->NtNumber, KeGetCurrentProcessorNumberEx(NULL));
    KeRevertToUserGroupAffinityThread(&previous);
    ZooComplete(Change);
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
