/*
 * Writes its result to *OperationStatus, also if it is a success. A refusal that another driver left there is lost: the
 * processor joins, and that driver uses memory that it does not have.
 */
#include "zoo.h"

static VOID NTAPI Callback(PVOID Context, PCHANGE Change, PNTSTATUS OperationStatus)
{
    UNREFERENCED_PARAMETER(Context);
    switch (Change->State) {
    case KeProcessorAddStartNotify:
        /* The fault: only an error may be written. */
        *OperationStatus = Refusal = ZooStart(Change);
        break;
    case KeProcessorAddCompleteNotify:
        ZooComplete(Change);
        break;
    case KeProcessorAddFailureNotify:
        ZooFailure(Change);
        break;
    default:
        break;
    }
}

ZOO_DRIVER(ZooLoad, ZooUnload)
