/* Requests that a driver handles, passes on and completes: Plug and Play, power, control codes. */
#include <ntddk.h>
#include <devioctl.h>

typedef struct _EXTENSION {
    PDEVICE_OBJECT Self;
    PDEVICE_OBJECT Lower;
    DEVICE_CAPABILITIES Capabilities;
    SYSTEM_POWER_STATE System;
    DEVICE_POWER_STATE Device;
} EXTENSION, *PEXTENSION;

extern DRIVER_ADD_DEVICE Add;
extern DRIVER_DISPATCH PlugAndPlay, Power, Control;
extern DRIVER_CANCEL Cancel;
extern IO_COMPLETION_ROUTINE Completed;
EXTERN_C NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information);

NTSTATUS Complete(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_DISK_INCREMENT);
    return Status;
}

NTSTATUS NTAPI Completed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    if (Irp->PendingReturned)
        IoMarkIrpPending(Irp);
    KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

VOID NTAPI Cancel(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    Complete(Irp, STATUS_CANCELLED, 0);
}

NTSTATUS NTAPI PlugAndPlay(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    PEXTENSION extension = (PEXTENSION)DeviceObject->DeviceExtension;
    NTSTATUS status = Irp->IoStatus.Status;
    KEVENT event;

    switch (stack->MinorFunction) {
    case IRP_MN_START_DEVICE:
        if (stack->Parameters.StartDevice.AllocatedResources == NULL)
            status = STATUS_SUCCESS;
        break;
    case IRP_MN_QUERY_CAPABILITIES:
        *stack->Parameters.DeviceCapabilities.Capabilities = extension->Capabilities;
        extension->Device = extension->Capabilities.DeviceState[PowerSystemWorking];
        break;
    case IRP_MN_QUERY_DEVICE_RELATIONS:
        if (stack->Parameters.QueryDeviceRelations.Type == BusRelations)
            Irp->IoStatus.Information = FIELD_OFFSET(DEVICE_RELATIONS, Objects);
        break;
    case IRP_MN_QUERY_ID:
        if (stack->Parameters.QueryId.IdType == BusQueryHardwareIDs)
            status = STATUS_NOT_SUPPORTED;
        break;
    case IRP_MN_QUERY_INTERFACE:
        if (stack->Parameters.QueryInterface.Size >= sizeof(INTERFACE))
            stack->Parameters.QueryInterface.Interface->Version = 1;
        break;
    case IRP_MN_REMOVE_DEVICE:
    case IRP_MN_SURPRISE_REMOVAL:
        IoDeleteDevice(DeviceObject);
        break;
    default:
        KeInitializeEvent(&event, NotificationEvent, FALSE);
        IoCopyCurrentIrpStackLocationToNext(Irp);
        IoSetCompletionRoutine(Irp, Completed, &event, TRUE, TRUE, TRUE);
        IoSkipCurrentIrpStackLocation(Irp);
        break;
    }
    return Complete(Irp, status, Irp->IoStatus.Information);
}

NTSTATUS NTAPI Power(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    PEXTENSION extension = (PEXTENSION)DeviceObject->DeviceExtension;
    POWER_STATE state = stack->Parameters.Power.State;

    if (stack->MinorFunction == IRP_MN_SET_POWER && stack->Parameters.Power.Type == SystemPowerState) {
        extension->System = state.SystemState;
        if (stack->Parameters.Power.ShutdownType == PowerActionHibernate)
            return Complete(Irp, STATUS_NOT_SUPPORTED, 0);
    }
    return Complete(Irp, STATUS_SUCCESS, 0);
}

NTSTATUS NTAPI Control(PDEVICE_OBJECT DeviceObject, PIRP Irp)
{
    PIO_STACK_LOCATION stack = IoGetCurrentIrpStackLocation(Irp);
    ULONG code = stack->Parameters.DeviceIoControl.IoControlCode;
    PVOID buffer = Irp->AssociatedIrp.SystemBuffer;

    if (METHOD_FROM_CTL_CODE(code) != METHOD_BUFFERED)
        buffer = MmGetSystemAddressForMdlSafe(Irp->MdlAddress, NormalPagePriority);
    if (buffer == NULL || DEVICE_TYPE_FROM_CTL_CODE(code) != FILE_DEVICE_UNKNOWN)
        return Complete(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (IoSetCancelRoutine(Irp, Cancel) == NULL && DeviceObject->Flags & (DO_BUFFERED_IO | DO_DIRECT_IO)) {
        IoMarkIrpPending(Irp);
        return STATUS_PENDING;
    }
    if (Irp->RequestorMode == UserMode)
        ProbeForRead(stack->Parameters.DeviceIoControl.Type3InputBuffer, 4, TYPE_ALIGNMENT(ULONG));
    return Complete(Irp, STATUS_SUCCESS, sizeof(ULONG));
}
