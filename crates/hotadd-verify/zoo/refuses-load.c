/*
 * Does not load on a machine with more than 1,024 processors, because its author never had one. There the driver is
 * missing. A machine that grows beyond that is not a problem for it.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    /* The fault: nothing in this driver depends on the number. */
    if (KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) > 1024)
        return STATUS_NOT_SUPPORTED;
    return ZooLoad();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
