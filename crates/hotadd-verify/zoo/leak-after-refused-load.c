/*
 * Returns from DriverEntry with an error and leaves its table behind, if registering fails. The memory is lost until the
 * next restart, because a driver that is not loaded is not unloaded either.
 */
#include "zoo.h"

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeTable(ZooMaximum());

    if (!NT_SUCCESS(status))
        return status;
    /* The fault: if this fails, the table must be freed. */
    return ZooRegister(KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
