/*
 * Has a device, and uses the control code of a request as an index into a table of functions. A code that the driver does
 * not know stops the system: any program that can open the device can send it.
 */
#include "zoo.h"

static PDEVICE_OBJECT Device;
static DRIVER_DISPATCH Control;

static NTSTATUS Nothing(VOID)
{
    return STATUS_SUCCESS;
}

typedef NTSTATUS ACTION(VOID);
static ACTION *const volatile Actions[4] = {NULL, Nothing, Nothing, Nothing};

static NTSTATUS NTAPI Control(PDEVICE_OBJECT Object, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);
    NTSTATUS status = STATUS_SUCCESS;

    UNREFERENCED_PARAMETER(Object);
    /* The fault: most codes are not those of this driver. */
    if (location->MajorFunction == IRP_MJ_DEVICE_CONTROL)
        status = Actions[location->Parameters.DeviceIoControl.IoControlCode % 4]();
    Irp->IoStatus.Status = status;
    Irp->IoStatus.Information = 0;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return status;
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeDevice(&Device);

    if (!NT_SUCCESS(status))
        return status;
    Driver->MajorFunction[IRP_MJ_CREATE] = Control;
    Driver->MajorFunction[IRP_MJ_CLOSE] = Control;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
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
