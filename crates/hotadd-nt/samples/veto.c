/*
 * A driver that refuses every later processor from the index VETO_FROM on, and agrees to those before it. The second
 * party of a scenario: drivers asked before it are told AddFailure.
 */
#include <ntddk.h>

#ifndef VETO_FROM
#define VETO_FROM 1
#endif

static PVOID Registration;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD VetoUnload;
static PROCESSOR_CALLBACK_FUNCTION VetoCallback;

static VOID NTAPI VetoCallback(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus)
{
    ULONG from = *(const ULONG *)Context;

    switch (Change->State) {
    case KeProcessorAddStartNotify:
        if (Change->NtNumber >= from) {
            DbgPrint("veto: processor %lu: refused\n", Change->NtNumber);
            *OperationStatus = STATUS_INSUFFICIENT_RESOURCES;
        } else {
            DbgPrint("veto: processor %lu: agreed\n", Change->NtNumber);
        }
        break;
    case KeProcessorAddCompleteNotify:
        DbgPrint("veto: processor %lu: complete\n", Change->NtNumber);
        break;
    case KeProcessorAddFailureNotify:
        DbgPrint("veto: processor %lu: failure, 0x%08lx\n", Change->NtNumber, (ULONG)Change->Status);
        break;
    default:
        break;
    }
}

static VOID NTAPI VetoUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeDeregisterProcessorChangeCallback(Registration);
    DbgPrint("veto: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    static ULONG from = VETO_FROM;

    UNREFERENCED_PARAMETER(RegistryPath);
    Registration = KeRegisterProcessorChangeCallback(VetoCallback, &from, 0);
    if (Registration == NULL)
        return STATUS_UNSUCCESSFUL;
    DriverObject->DriverUnload = VetoUnload;
    DbgPrint("veto: loaded, refuses processors from %lu on\n", from);
    return STATUS_SUCCESS;
}
