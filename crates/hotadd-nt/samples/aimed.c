/*
 * A driver that has a DPC for each processor and aims it before the processor runs: in AddStart it translates the index
 * and sets the DPC's target, and refuses the processor if either fails. In AddComplete it queues the DPC.
 */
#include <ntddk.h>

#define AIMED_TAG 'demA'

typedef struct _AIMED_WORK {
    KDPC Dpc;
    KEVENT Done;
    ULONG RanOn; /* the processor that the DPC ran on */
} AIMED_WORK, *PAIMED_WORK;

static PVOID Registration;
static NTSTATUS Refusal;
static ULONG Maximum;
static PAIMED_WORK Work; /* by index */

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD AimedUnload;
static KDEFERRED_ROUTINE AimedDpc;
static PROCESSOR_CALLBACK_FUNCTION AimedCallback;

static VOID NTAPI AimedDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PAIMED_WORK work = (PAIMED_WORK)Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    work->RanOn = KeGetCurrentProcessorNumberEx(NULL);
    KeSetEvent(&work->Done, IO_NO_INCREMENT, FALSE);
}

static NTSTATUS AimedStart(ULONG Index)
{
    PROCESSOR_NUMBER number;
    NTSTATUS status;

    if (Index >= Maximum)
        return STATUS_INVALID_PARAMETER;
    KeInitializeEvent(&Work[Index].Done, NotificationEvent, FALSE);
    KeInitializeDpc(&Work[Index].Dpc, AimedDpc, &Work[Index]);
    status = KeGetProcessorNumberFromIndex(Index, &number);
    if (NT_SUCCESS(status))
        status = KeSetTargetProcessorDpcEx(&Work[Index].Dpc, &number);
    return status;
}

static VOID NTAPI AimedCallback(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus)
{
    ULONG index = Change->NtNumber;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(Context);
    switch (Change->State) {
    case KeProcessorAddStartNotify:
        status = AimedStart(index);
        if (NT_SUCCESS(status)) {
            DbgPrint("aimed: processor %lu: the DPC is aimed\n", index);
        } else {
            DbgPrint("aimed: processor %lu: refused, 0x%08lx\n", index, (ULONG)status);
            Refusal = status;
            *OperationStatus = status;
        }
        break;
    case KeProcessorAddCompleteNotify:
        if (KeInsertQueueDpc(&Work[index].Dpc, NULL, NULL)) {
            KeWaitForSingleObject(&Work[index].Done, Executive, KernelMode, FALSE, NULL);
            DbgPrint("aimed: processor %lu: the DPC ran on processor %lu\n", index, Work[index].RanOn);
        } else {
            DbgPrint("aimed: processor %lu: the DPC is not queued\n", index);
        }
        break;
    case KeProcessorAddFailureNotify:
        DbgPrint("aimed: processor %lu: failure, 0x%08lx\n", index, (ULONG)Change->Status);
        break;
    default:
        break;
    }
}

static VOID AimedFree(VOID)
{
    /* A DPC that has set its event may still be about to return. */
    KeFlushQueuedDpcs();
    ExFreePoolWithTag(Work, AIMED_TAG);
}

static VOID NTAPI AimedUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeDeregisterProcessorChangeCallback(Registration);
    AimedFree();
    DbgPrint("aimed: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    Maximum = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    Work = (PAIMED_WORK)ExAllocatePoolWithTag(NonPagedPoolNx, Maximum * sizeof(AIMED_WORK), AIMED_TAG);
    if (Work == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    Refusal = STATUS_UNSUCCESSFUL;
    Registration = KeRegisterProcessorChangeCallback(AimedCallback, NULL, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (Registration == NULL) {
        AimedFree();
        return Refusal;
    }
    DriverObject->DriverUnload = AimedUnload;
    DbgPrint("aimed: loaded\n");
    return STATUS_SUCCESS;
}
