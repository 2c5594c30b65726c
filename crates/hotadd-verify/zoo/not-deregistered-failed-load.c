/*
 * Returns from DriverEntry with an error when it has already registered, and does not deregister. The driver is not
 * loaded, but the system calls it at the next added processor, and stops.
 */
#include "zoo.h"

static PDEVICE_OBJECT Device;

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooLoad();

    if (!NT_SUCCESS(status))
        return status;
    status = ZooMakeDevice(&Device);
    /* The fault: ZooFreeTable does not deregister; ZooUnload does both. */
    if (!NT_SUCCESS(status))
        ZooFreeTable();
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    IoDeleteDevice(Device);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
