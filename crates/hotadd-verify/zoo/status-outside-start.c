/*
 * Reports in AddComplete that it is not ready for the processor. The processor has joined, nobody reads the status, and
 * the driver believes that it has refused.
 */
#include "zoo.h"

static VOID NTAPI Callback(PVOID Context, PCHANGE Change, PNTSTATUS OperationStatus)
{
    UNREFERENCED_PARAMETER(Context);
    ZooDispatch(Change, OperationStatus, ZooStart, ZooComplete, ZooFailure);
    /* The fault: only AddStart can refuse. */
    if (Change->State == KeProcessorAddCompleteNotify)
        *OperationStatus = STATUS_DEVICE_NOT_READY;
}

ZOO_DRIVER(ZooLoad, ZooUnload)
