#include <ntddk.h>

static PVOID Handle;
static NTSTATUS Refusal = STATUS_UNSUCCESSFUL;
static PVOID Blocks[2048];

static VOID NTAPI Changed(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus)
{
    PVOID *block = &Blocks[Change->NtNumber];

    UNREFERENCED_PARAMETER(Context);
    switch (Change->State) {
    case KeProcessorAddStartNotify: /* it is coming: prepare, or refuse */
        *block = ExAllocatePoolWithTag(NonPagedPoolNx, 4096, 'lleH');
        if (*block == NULL)
            *OperationStatus = Refusal = STATUS_INSUFFICIENT_RESOURCES;
        break;
    case KeProcessorAddCompleteNotify: /* it is here */
        DbgPrint("processor %lu of %lu\n", Change->NtNumber, KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS));
        break;
    case KeProcessorAddFailureNotify: /* it did not come: undo */
        if (*block != NULL)
            ExFreePoolWithTag(*block, 'lleH');
        *block = NULL;
        break;
    }
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeDeregisterProcessorChangeCallback(Handle);
    for (ULONG index = 0; index < RTL_NUMBER_OF(Blocks); index++)
        if (Blocks[index] != NULL)
            ExFreePoolWithTag(Blocks[index], 'lleH');
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    Handle = KeRegisterProcessorChangeCallback(Changed, NULL, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (Handle == NULL) /* an active processor was refused, or nothing could be registered */
        return Refusal;
    DriverObject->DriverUnload = Unload;
    return STATUS_SUCCESS;
}
