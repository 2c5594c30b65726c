/*
 * Does not check whether there was memory for a work item. When there is none, the system stops as soon as a processor
 * has joined.
 */
#include "zoo.h"

static PDEVICE_OBJECT Device;
static KEVENT Done;
static IO_WORKITEM_ROUTINE Measure;

static VOID NTAPI Measure(PDEVICE_OBJECT Object, PVOID Context)
{
    UNREFERENCED_PARAMETER(Object);
    UNREFERENCED_PARAMETER(Context);
    KeSetEvent(&Done, IO_NO_INCREMENT, FALSE);
}

static VOID Complete(PCHANGE Change)
{
    PIO_WORKITEM work = IoAllocateWorkItem(Device);

    ZooComplete(Change);
    KeClearEvent(&Done);
    /* The fault: work may be NULL. */
    IoQueueWorkItem(work, Measure, DelayedWorkQueue, NULL);
    KeWaitForSingleObject(&Done, Executive, KernelMode, FALSE, NULL);
    IoFreeWorkItem(work);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeDevice(&Device);

    if (!NT_SUCCESS(status))
        return status;
    KeInitializeEvent(&Done, NotificationEvent, FALSE);
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

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, Unload)
