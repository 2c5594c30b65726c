/*
 * Restores the previous affinity with the function that sets one. A thread that had none before asks for no processor,
 * and stays where it is: the thread that adds processors is confined to the last one.
 */
#include "zoo.h"

static VOID Complete(PCHANGE Change)
{
    GROUP_AFFINITY affinity = ZooAffinity(Change), previous;

    KeSetSystemGroupAffinityThread(&affinity, &previous);
    DbgPrint("zoo: processor %lu: on %lu\n", Change->NtNumber, KeGetCurrentProcessorNumberEx(NULL));
    /* The fault: KeRevertToUserGroupAffinityThread. */
    KeSetSystemGroupAffinityThread(&previous, NULL);
    ZooComplete(Change);
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
