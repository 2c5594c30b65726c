/*
 * Has a table for the processors that are active when it is loaded. The first processor that is added writes behind it.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    /* The fault: KeQueryMaximumProcessorCountEx. */
    return ZooLoadWith(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
