/*
 * Does not check whether its device was made, and uses it. When there is no memory for it, the system stops while the
 * driver is loaded.
 */
#include "zoo.h"

static PDEVICE_OBJECT Device;

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    Device = NULL;
    /* The fault: the result is not checked. */
    ZooMakeDevice(&Device);
    Device->Flags |= DO_DIRECT_IO;
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        IoDeleteDevice(Device);
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    IoDeleteDevice(Device);
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
