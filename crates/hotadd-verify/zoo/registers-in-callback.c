/*
 * Registers a second function when the first processor has joined, from inside the callback. Registering waits until the
 * processor has been announced to every driver, and that waits for this callback: the system hangs.
 */
#include "zoo.h"

static PVOID Second;
static PROCESSOR_CALLBACK_FUNCTION Count;

static VOID NTAPI Count(PVOID Context, PCHANGE Change, PNTSTATUS OperationStatus)
{
    UNREFERENCED_PARAMETER(OperationStatus);
    if (Change->State == KeProcessorAddCompleteNotify)
        InterlockedIncrement((LONG volatile *)Context);
}

static VOID Complete(PCHANGE Change)
{
    static LONG joined;

    ZooComplete(Change);
    /* The fault: this belongs into Load. */
    if (Second == NULL)
        Second = KeRegisterProcessorChangeCallback(Count, &joined, 0);
}

static VOID Unload(VOID)
{
    if (Second != NULL)
        KeDeregisterProcessorChangeCallback(Second);
    Second = NULL;
    ZooUnload();
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(ZooLoad, Unload)
