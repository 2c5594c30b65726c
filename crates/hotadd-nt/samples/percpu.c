/*
 * A driver that keeps a block of memory for each processor, in the way that the documentation of synchronous driver
 * notification teaches. The same source is a Windows driver (percpu.sys) and a native one (percpu.so).
 */
#include <ntddk.h>

#define PERCPU_TAG 'upcP'

typedef struct _PERCPU_BLOCK {
    ULONG Index;
    PROCESSOR_NUMBER Number;
    KDPC Dpc;
    KEVENT Ready;
    ULONG RanOn; /* the processor that the DPC ran on */
} PERCPU_BLOCK, *PPERCPU_BLOCK;

typedef struct _PERCPU {
    NTSTATUS Status; /* why registering failed */
    PVOID Registration;
    ULONG Maximum;
    PPERCPU_BLOCK *Blocks; /* one for each processor that there can ever be, by index */
} PERCPU, *PPERCPU;

static PERCPU PerCpu;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD PerCpuUnload;
static KDEFERRED_ROUTINE PerCpuDpc;
static PROCESSOR_CALLBACK_FUNCTION PerCpuCallback;

static VOID NTAPI PerCpuDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PPERCPU_BLOCK block = (PPERCPU_BLOCK)Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    block->RanOn = KeGetCurrentProcessorNumberEx(NULL);
    KeSetEvent(&block->Ready, IO_NO_INCREMENT, FALSE);
}

/* AddStart: everything that the processor will need, or a veto. */
static NTSTATUS PerCpuStart(PPERCPU PerCpuContext, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change)
{
    PPERCPU_BLOCK block;

    if (Change->NtNumber >= PerCpuContext->Maximum)
        return STATUS_INVALID_PARAMETER;
    block = (PPERCPU_BLOCK)ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*block), PERCPU_TAG);
    if (block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(block, sizeof(*block));
    block->Index = Change->NtNumber;
    block->Number = Change->ProcNumber;
    KeInitializeEvent(&block->Ready, NotificationEvent, FALSE);
    KeInitializeDpc(&block->Dpc, PerCpuDpc, block);
    PerCpuContext->Blocks[Change->NtNumber] = block;
    return STATUS_SUCCESS;
}

/* AddComplete: the processor runs. The first thing that it does for this driver is the DPC. */
static VOID PerCpuComplete(PPERCPU_BLOCK Block)
{
    NTSTATUS status = KeSetTargetProcessorDpcEx(&Block->Dpc, &Block->Number);

    if (!NT_SUCCESS(status)) {
        DbgPrint("percpu: processor %lu cannot be the target of a DPC: 0x%08lx\n", Block->Index, (ULONG)status);
        return;
    }
    KeInsertQueueDpc(&Block->Dpc, NULL, NULL);
    KeWaitForSingleObject(&Block->Ready, Executive, KernelMode, FALSE, NULL);
    DbgPrint("percpu: processor %lu: the DPC ran on processor %lu\n", Block->Index, Block->RanOn);
}

static VOID PerCpuFree(PPERCPU PerCpuContext, ULONG Index)
{
    PPERCPU_BLOCK block = PerCpuContext->Blocks[Index];

    PerCpuContext->Blocks[Index] = NULL;
    if (block != NULL)
        ExFreePoolWithTag(block, PERCPU_TAG);
}

static VOID NTAPI PerCpuCallback(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change,
                                 PNTSTATUS OperationStatus)
{
    PPERCPU perCpu = (PPERCPU)Context;
    ULONG index = Change->NtNumber;
    ULONG group = Change->ProcNumber.Group;
    ULONG number = Change->ProcNumber.Number;
    NTSTATUS status;

    switch (Change->State) {
    case KeProcessorAddStartNotify:
        DbgPrint("percpu: processor %lu (group %lu, number %lu): start\n", index, group, number);
        status = PerCpuStart(perCpu, Change);
        if (!NT_SUCCESS(status)) {
            DbgPrint("percpu: processor %lu: refused, 0x%08lx\n", index, (ULONG)status);
            perCpu->Status = status;
            *OperationStatus = status;
        }
        break;

    case KeProcessorAddCompleteNotify:
        DbgPrint("percpu: processor %lu (group %lu, number %lu): complete\n", index, group, number);
        if (index < perCpu->Maximum && perCpu->Blocks[index] != NULL)
            PerCpuComplete(perCpu->Blocks[index]);
        break;

    case KeProcessorAddFailureNotify:
        DbgPrint("percpu: processor %lu (group %lu, number %lu): failure, 0x%08lx\n", index, group, number,
                 (ULONG)Change->Status);
        if (index < perCpu->Maximum)
            PerCpuFree(perCpu, index);
        break;

    default:
        break;
    }
}

static VOID PerCpuFreeAll(PPERCPU PerCpuContext)
{
    ULONG index;

    /* A DPC that has set its event may still be about to return. */
    KeFlushQueuedDpcs();
    for (index = 0; index < PerCpuContext->Maximum; index++)
        PerCpuFree(PerCpuContext, index);
    ExFreePoolWithTag(PerCpuContext->Blocks, PERCPU_TAG);
    PerCpuContext->Blocks = NULL;
}

static VOID NTAPI PerCpuUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeDeregisterProcessorChangeCallback(PerCpu.Registration);
    PerCpuFreeAll(&PerCpu);
    DbgPrint("percpu: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    SIZE_T size;

    UNREFERENCED_PARAMETER(RegistryPath);
    PerCpu.Status = STATUS_SUCCESS;
    PerCpu.Maximum = KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
    size = PerCpu.Maximum * sizeof(PPERCPU_BLOCK);
    PerCpu.Blocks = (PPERCPU_BLOCK *)ExAllocatePoolWithTag(NonPagedPoolNx, size, PERCPU_TAG);
    if (PerCpu.Blocks == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(PerCpu.Blocks, size);

    /* The callback is called for the existing processors before this returns. */
    PerCpu.Registration = KeRegisterProcessorChangeCallback(PerCpuCallback, &PerCpu,
                                                            KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (PerCpu.Registration == NULL) {
        PerCpuFreeAll(&PerCpu);
        return NT_SUCCESS(PerCpu.Status) ? STATUS_UNSUCCESSFUL : PerCpu.Status;
    }
    DriverObject->DriverUnload = PerCpuUnload;
    DbgPrint("percpu: loaded, for up to %lu processors\n", PerCpu.Maximum);
    return STATUS_SUCCESS;
}
