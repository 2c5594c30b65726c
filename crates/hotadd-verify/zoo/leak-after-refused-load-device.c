/*
 * Returns from DriverEntry with an error and leaves its device behind. A device whose driver is gone stops the system
 * when somebody opens it.
 */
#include "zoo.h"

static PDEVICE_OBJECT Device;

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeDevice(&Device);

    if (!NT_SUCCESS(status))
        return status;
    /* The fault: if this fails, the device must be deleted. */
    return ZooLoad();
}

static VOID Unload(VOID)
{
    ZooUnload();
    IoDeleteDevice(Device);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
