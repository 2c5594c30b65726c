/*
 * Cleans up a failed load with the code of its unload, and so deregisters a handle that is NULL. This happens when
 * registering fails, for instance because the driver has no memory for one of the existing processors.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeTable(ZooMaximum());

    if (!NT_SUCCESS(status))
        return status;
    status = ZooRegister(KE_PROCESSOR_CHANGE_ADD_EXISTING);
    /* The fault: there is no registration. */
    if (!NT_SUCCESS(status))
        ZooUnload();
    return status;
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
