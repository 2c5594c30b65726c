/*
 * Does not check whether its thread was made, and waits at each added processor for the thread to answer. Without the
 * thread nobody answers: no processor is added any more.
 */
#include "zoo.h"

static HANDLE Thread;
static KEVENT Ask, Answer;
static LONG volatile Stop;
static KSTART_ROUTINE Serve;

static VOID NTAPI Serve(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    while (!Stop) {
        KeWaitForSingleObject(&Ask, Executive, KernelMode, FALSE, NULL);
        KeSetEvent(&Answer, IO_NO_INCREMENT, FALSE);
    }
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID End(VOID)
{
    Stop = TRUE;
    KeSetEvent(&Ask, IO_NO_INCREMENT, FALSE);
    ZooAwaitThread(Thread);
}

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    KeSetEvent(&Ask, IO_NO_INCREMENT, FALSE);
    KeWaitForSingleObject(&Answer, Executive, KernelMode, FALSE, NULL);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    Stop = FALSE;
    KeInitializeEvent(&Ask, SynchronizationEvent, FALSE);
    KeInitializeEvent(&Answer, SynchronizationEvent, FALSE);
    /* The fault: the result is not checked. */
    ZooMakeThread(Serve, NULL, &Thread);
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        End();
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    End();
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, Unload)
