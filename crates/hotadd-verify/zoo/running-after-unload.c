/*
 * Tells its thread to end at the unload, and does not wait until it has. The thread goes on in memory that is not there
 * any more: the system stops.
 */
#include "zoo.h"

static HANDLE Thread;
static LONG volatile Stop;
static KSTART_ROUTINE Watch;

static VOID NTAPI Watch(PVOID Context)
{
    LARGE_INTEGER interval = ZooMilliseconds(1000);

    UNREFERENCED_PARAMETER(Context);
    while (!Stop)
        KeDelayExecutionThread(KernelMode, FALSE, &interval);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Unload(VOID)
{
    ZooUnload();
    Stop = TRUE;
    /* The fault: ZooAwaitThread also waits. */
    ZwClose(Thread);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    Stop = FALSE;
    status = ZooMakeThread(Watch, NULL, &Thread);
    if (!NT_SUCCESS(status))
        return status;
    status = ZooLoad();
    if (!NT_SUCCESS(status)) {
        Stop = TRUE;
        ZooAwaitThread(Thread);
    }
    return status;
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
