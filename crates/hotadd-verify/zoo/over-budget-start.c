/*
 * Waits in AddStart until the processor is active. It is started only when every driver has returned from AddStart.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    LARGE_INTEGER interval = ZooMilliseconds(1);

    /* The fault: AddComplete says that it is active. */
    while (KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS) <= Change->NtNumber)
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    return ZooStart(Change);
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
