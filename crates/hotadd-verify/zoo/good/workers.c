/*
 * Has a thread, a work item, a timer and a DPC for each processor, and a device that answers requests. When a processor
 * has joined, its timer queues its DPC there, the DPC queues the work item, and the work item wakes the thread.
 */
#include "../zoo.h"

#define IOCTL_COUNT CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_READ_ACCESS)

typedef struct _WORKER {
    KTIMER Timer;
    KDPC Dpc;
    LONG volatile Queued; /* whether the DPC has queued the work item */
    PIO_WORKITEM Work;
    KEVENT Worked; /* set by the work item */
    KEVENT Wake;   /* for the thread */
    LONG volatile Stop;
    HANDLE Thread;
} WORKER, *PWORKER;

static PDEVICE_OBJECT Device;
static PWORKER *Workers; /* by index */
static LONG volatile Awake;

static KDEFERRED_ROUTINE TimerDpc;
static IO_WORKITEM_ROUTINE WorkRoutine;
static KSTART_ROUTINE ThreadRoutine;
static DRIVER_DISPATCH OpenOrClose;
static DRIVER_DISPATCH Control;

static VOID NTAPI TimerDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PWORKER worker = (PWORKER)Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    worker->Queued = TRUE;
    IoQueueWorkItem(worker->Work, WorkRoutine, DelayedWorkQueue, worker);
}

static VOID NTAPI WorkRoutine(PDEVICE_OBJECT Object, PVOID Context)
{
    PWORKER worker = (PWORKER)Context;

    UNREFERENCED_PARAMETER(Object);
    KeSetEvent(&worker->Wake, IO_NO_INCREMENT, FALSE);
    /* The last use of the worker: it may be freed after this. */
    KeSetEvent(&worker->Worked, IO_NO_INCREMENT, FALSE);
}

static VOID NTAPI ThreadRoutine(PVOID Context)
{
    PWORKER worker = (PWORKER)Context;

    for (;;) {
        KeWaitForSingleObject(&worker->Wake, Executive, KernelMode, FALSE, NULL);
        if (worker->Stop)
            break;
        InterlockedIncrement(&Awake);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static NTSTATUS Start(PCHANGE Change)
{
    PWORKER worker = (PWORKER)ZooAllocate(sizeof(*worker));
    NTSTATUS status = STATUS_INSUFFICIENT_RESOURCES;

    if (worker == NULL)
        return status;
    RtlZeroMemory(worker, sizeof(*worker));
    KeInitializeTimer(&worker->Timer);
    KeInitializeDpc(&worker->Dpc, TimerDpc, worker);
    KeInitializeEvent(&worker->Worked, NotificationEvent, FALSE);
    KeInitializeEvent(&worker->Wake, SynchronizationEvent, FALSE);
    worker->Work = IoAllocateWorkItem(Device);
    if (worker->Work == NULL)
        goto free_worker;
    status = KeSetTargetProcessorDpcEx(&worker->Dpc, &Change->ProcNumber);
    if (!NT_SUCCESS(status))
        goto free_work;
    status = ZooMakeThread(ThreadRoutine, worker, &worker->Thread);
    if (!NT_SUCCESS(status))
        goto free_work;
    Workers[Change->NtNumber] = worker;
    return STATUS_SUCCESS;

free_work:
    IoFreeWorkItem(worker->Work);
free_worker:
    ZooFree(worker);
    return status;
}

static VOID Complete(PCHANGE Change)
{
    PWORKER worker = Workers[Change->NtNumber];

    KeSetTimer(&worker->Timer, ZooMilliseconds(1), &worker->Dpc);
}

/* Each step ends what the one before may have begun. */
static VOID End(ULONG Index)
{
    PWORKER worker = Workers[Index];

    if (worker == NULL)
        return;
    Workers[Index] = NULL;
    KeCancelTimer(&worker->Timer);
    KeFlushQueuedDpcs();
    if (worker->Queued)
        KeWaitForSingleObject(&worker->Worked, Executive, KernelMode, FALSE, NULL);
    worker->Stop = TRUE;
    KeSetEvent(&worker->Wake, IO_NO_INCREMENT, FALSE);
    ZooAwaitThread(worker->Thread);
    IoFreeWorkItem(worker->Work);
    ZooFree(worker);
}

static VOID Failure(PCHANGE Change)
{
    End(Change->NtNumber);
}

static NTSTATUS Answer(PIRP Irp, NTSTATUS Status, ULONG_PTR Information)
{
    Irp->IoStatus.Status = Status;
    Irp->IoStatus.Information = Information;
    IoCompleteRequest(Irp, IO_NO_INCREMENT);
    return Status;
}

static NTSTATUS NTAPI OpenOrClose(PDEVICE_OBJECT Object, PIRP Irp)
{
    UNREFERENCED_PARAMETER(Object);
    return Answer(Irp, STATUS_SUCCESS, 0);
}

/* How often the threads have been woken. */
static NTSTATUS NTAPI Control(PDEVICE_OBJECT Object, PIRP Irp)
{
    PIO_STACK_LOCATION location = IoGetCurrentIrpStackLocation(Irp);

    UNREFERENCED_PARAMETER(Object);
    if (location->Parameters.DeviceIoControl.IoControlCode != IOCTL_COUNT)
        return Answer(Irp, STATUS_INVALID_DEVICE_REQUEST, 0);
    if (location->Parameters.DeviceIoControl.OutputBufferLength < sizeof(LONG))
        return Answer(Irp, STATUS_BUFFER_TOO_SMALL, 0);
    *(PLONG)Irp->AssociatedIrp.SystemBuffer = Awake;
    return Answer(Irp, STATUS_SUCCESS, sizeof(LONG));
}

static VOID Free(VOID)
{
    ULONG index;

    for (index = 0; index < Maximum; index++)
        End(index);
    ZooFree(Workers);
    IoDeleteDevice(Device);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeDevice(&Device);
    SIZE_T size;

    if (!NT_SUCCESS(status))
        return status;
    Maximum = ZooMaximum();
    size = Maximum * sizeof(*Workers);
    Workers = (PWORKER *)ZooAllocate(size);
    if (Workers == NULL) {
        IoDeleteDevice(Device);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlZeroMemory(Workers, size);
    Driver->MajorFunction[IRP_MJ_CREATE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_CLOSE] = OpenOrClose;
    Driver->MajorFunction[IRP_MJ_DEVICE_CONTROL] = Control;
    status = ZooRegister(KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (!NT_SUCCESS(status))
        Free();
    return status;
}

static VOID Unload(VOID)
{
    KeDeregisterProcessorChangeCallback(Registration);
    Free();
    DbgPrint("zoo: threads were woken %ld times\n", Awake);
}

ZOO_CALLBACK(Start, Complete, Failure)
ZOO_DRIVER(Load, Unload)
