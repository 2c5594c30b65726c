/* Deferred procedure calls and timers. */
#include <ntddk.h>

typedef struct _STATE {
    KDPC Dpc;
    KTIMER Timer;
    KEVENT Done;
    LONG Count;
} STATE, *PSTATE;

extern KDEFERRED_ROUTINE Routine;
extern NTSTATUS Queue(PSTATE State, PPROCESSOR_NUMBER Number);
extern VOID Timers(PSTATE State);
extern ULONGLONG Clock(VOID);

VOID NTAPI Routine(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PSTATE state = (PSTATE)DeferredContext;

    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    InterlockedIncrement(&state->Count);
    if (CONTAINING_RECORD(Dpc, STATE, Dpc) == state)
        KeSetEvent(&state->Done, IO_NO_INCREMENT, FALSE);
}

NTSTATUS Queue(PSTATE State, PPROCESSOR_NUMBER Number)
{
    NTSTATUS status;

    KeInitializeEvent(&State->Done, SynchronizationEvent, FALSE);
    KeInitializeDpc(&State->Dpc, Routine, State);
    KeSetImportanceDpc(&State->Dpc, HighImportance);
    KeSetTargetProcessorDpc(&State->Dpc, 0);
    status = KeSetTargetProcessorDpcEx(&State->Dpc, Number);
    if (!NT_SUCCESS(status))
        return status;
    if (KeInsertQueueDpc(&State->Dpc, NULL, NULL))
        KeWaitForSingleObject(&State->Done, Executive, KernelMode, FALSE, NULL);
    if (!KeRemoveQueueDpc(&State->Dpc))
        KeFlushQueuedDpcs();
    return STATUS_SUCCESS;
}

VOID Timers(PSTATE State)
{
    LARGE_INTEGER due;

    KeInitializeTimer(&State->Timer);
    due.QuadPart = -1000;
    KeSetTimer(&State->Timer, due, &State->Dpc);
    KeInitializeTimerEx(&State->Timer, SynchronizationTimer);
    KeSetTimerEx(&State->Timer, due, 10, &State->Dpc);
    if (!KeReadStateTimer(&State->Timer))
        KeCancelTimer(&State->Timer);
}

ULONGLONG Clock(VOID)
{
    LARGE_INTEGER now, ticks, frequency;

    KeQuerySystemTime(&now);
    KeQueryTickCount(&ticks);
    frequency = KeQueryPerformanceCounter(NULL);
    return KeQueryInterruptTime() + (ULONGLONG)(now.QuadPart + ticks.QuadPart * KeQueryTimeIncrement() +
                                                frequency.QuadPart);
}

/* mingw-w64 11 does not declare the call on every processor. */
#ifndef HEADERS_OF_MINGW
extern KDEFERRED_ROUTINE Everywhere;
extern VOID CallEverywhere(PSTATE State);

VOID NTAPI Everywhere(PKDPC Dpc, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    UNREFERENCED_PARAMETER(Dpc);
    if (KeSignalCallDpcSynchronize(SystemArgument2))
        InterlockedExchange((volatile LONG *)DeferredContext, 1);
    KeSignalCallDpcDone(SystemArgument1);
}

VOID CallEverywhere(PSTATE State)
{
    KeGenericCallDpc(Everywhere, &State->Count);
}
#endif
