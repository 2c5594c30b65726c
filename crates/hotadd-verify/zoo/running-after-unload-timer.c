/*
 * Does not cancel its periodic timer at the unload. The timer expires, and its function is gone.
 */
#include "zoo.h"

static KTIMER Timer;
static KDPC Tick;
static LONG volatile Ticks;
static KDEFERRED_ROUTINE Ticked;

static VOID NTAPI Ticked(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    InterlockedIncrement(&Ticks);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status = ZooLoad();

    if (!NT_SUCCESS(status))
        return status;
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Tick, Ticked, NULL);
    KeSetTimerEx(&Timer, ZooMilliseconds(20), 20, &Tick);
    return STATUS_SUCCESS;
}

/* The fault: ZooUnload does not know of the timer. */
ZOO_CALLBACK(ZooStart, ZooComplete, ZooFailure)
ZOO_DRIVER(Load, ZooUnload)
