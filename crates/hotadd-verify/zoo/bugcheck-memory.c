/*
 * Stops the system if there is no memory for a processor, instead of refusing it.
 */
#include "zoo.h"

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = ZooStart(Change);

    /* The fault: the status is all that is needed. */
    if (!NT_SUCCESS(status))
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, Change->NtNumber, (ULONG_PTR)status, 0, 0);
    return status;
}

ZOO_CALLBACK(Start, ZooComplete, ZooFailure)
ZOO_DRIVER(ZooLoad, ZooUnload)
