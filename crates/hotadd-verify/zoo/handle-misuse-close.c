/*
 * Closes the handle of a thread when the thread has ended, and again at the unload. By then the handle may be that of
 * something else, which is closed instead.
 */
#include "zoo.h"

static HANDLE Thread;
static KSTART_ROUTINE Measure;

static VOID NTAPI Measure(PVOID Context)
{
    UNREFERENCED_PARAMETER(Context);
    DbgPrint("zoo: at most %lu processors\n", ZooMaximum());
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static VOID Unload(VOID)
{
    ZooUnload();
    /* The fault: ZooAwaitThread has closed it. */
    ZwClose(Thread);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeThread(Measure, NULL, &Thread);

    if (!NT_SUCCESS(status))
        return status;
    ZooAwaitThread(Thread);
    return ZooLoad();
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
