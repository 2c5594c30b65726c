/*
 * Queues a work item for each processor that has joined, and does not wait for it at the unload. If the driver is
 * unloaded soon afterwards, the function of the work item is gone.
 */
#include "zoo.h"

static WORK_QUEUE_ITEM Work;
static LONG volatile Busy;
static WORKER_THREAD_ROUTINE Measure;

static VOID NTAPI Measure(PVOID Context)
{
    LARGE_INTEGER interval = ZooMilliseconds(1000);

    UNREFERENCED_PARAMETER(Context);
    KeDelayExecutionThread(KernelMode, FALSE, &interval);
    Busy = FALSE;
}

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    if (InterlockedExchange(&Busy, TRUE))
        return;
    ExInitializeWorkItem(&Work, Measure, NULL);
    ExQueueWorkItem(&Work, DelayedWorkQueue);
}

static NTSTATUS Load(VOID)
{
    LARGE_INTEGER interval = ZooMilliseconds(1);
    NTSTATUS status;

    Busy = FALSE;
    status = ZooLoad();
    while (!NT_SUCCESS(status) && Busy)
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    return status;
}

/* The fault: ZooUnload does not know of the work item. */
ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
