/*
 * Does not close the handle of a thread that has ended. The thread's object and its entry in the table of handles are
 * lost at each unload.
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
    /* The fault: ZwClose is missing. */
    ZwWaitForSingleObject(Thread, FALSE, NULL);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooMakeThread(Measure, NULL, &Thread);

    if (!NT_SUCCESS(status))
        return status;
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        ZooAwaitThread(Thread);
    return status;
}

ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, Unload)
