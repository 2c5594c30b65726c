/*
 * The parts of a driver that keeps a block of memory for each processor. All of them are correct. A driver of the zoo
 * replaces one part by a faulty one, and ends with the list of its parts:
 *
 *     ZOO_CALLBACK(ZooStart, ZooComplete, Failure)
 *     ZOO_DRIVER(ZooLoad, ZooUnload)
 *
 * Parts whose names begin with Zoo are those of this file.
 */
#pragma once
/* Not ntddk.h: only ntifs.h declares ZwWaitForSingleObject. */
#include <ntifs.h>

#define ZOO_TAG 'ooZx'

/* Fields that a driver adds to its blocks. */
#ifndef BLOCK_HAS
#define BLOCK_HAS
#endif

typedef PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT PCHANGE;

typedef struct _BLOCK {
    ULONG Index;
    KDPC Dpc;
    KEVENT Ran;
    BLOCK_HAS
} BLOCK, *PBLOCK;

static PDRIVER_OBJECT Driver;
static PBLOCK *Blocks; /* by index */
static ULONG Maximum;  /* the number of entries of Blocks */
static PVOID Registration;
static NTSTATUS Refusal; /* why registering failed */

DRIVER_INITIALIZE DriverEntry;
static PROCESSOR_CALLBACK_FUNCTION Callback;

static inline PVOID ZooAllocate(SIZE_T Size)
{
    return ExAllocatePoolWithTag(NonPagedPoolNx, Size, ZOO_TAG);
}

static inline VOID ZooFree(PVOID Memory)
{
    ExFreePoolWithTag(Memory, ZOO_TAG);
}

/* A block. */

static inline VOID NTAPI ZooDpc(PKDPC Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PBLOCK block = (PBLOCK)Context;

    UNREFERENCED_PARAMETER(Dpc);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    KeSetEvent(&block->Ran, IO_NO_INCREMENT, FALSE);
}

static inline NTSTATUS ZooInitialize(PBLOCK Block, PCHANGE Change)
{
    RtlZeroMemory(Block, sizeof(*Block));
    Block->Index = Change->NtNumber;
    KeInitializeEvent(&Block->Ran, NotificationEvent, FALSE);
    KeInitializeDpc(&Block->Dpc, ZooDpc, Block);
    return KeSetTargetProcessorDpcEx(&Block->Dpc, &Change->ProcNumber);
}

static inline NTSTATUS ZooMakeBlock(PCHANGE Change, PBLOCK *Made)
{
    PBLOCK block = (PBLOCK)ZooAllocate(sizeof(*block));
    NTSTATUS status;

    if (block == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    status = ZooInitialize(block, Change);
    if (NT_SUCCESS(status))
        *Made = block;
    else
        ZooFree(block);
    return status;
}

/* The three notices. */

static inline NTSTATUS ZooStart(PCHANGE Change)
{
    return ZooMakeBlock(Change, &Blocks[Change->NtNumber]);
}

static inline VOID ZooComplete(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->NtNumber];

    if (block != NULL && KeInsertQueueDpc(&block->Dpc, NULL, NULL))
        KeWaitForSingleObject(&block->Ran, Executive, KernelMode, FALSE, NULL);
}

/* There may be no block: some systems announce the failure also to the driver that refused the processor. */
static inline VOID ZooFailure(PCHANGE Change)
{
    PBLOCK block = Blocks[Change->NtNumber];

    Blocks[Change->NtNumber] = NULL;
    if (block != NULL)
        ZooFree(block);
}

typedef NTSTATUS ZOO_START(PCHANGE Change);
typedef VOID ZOO_OUTCOME(PCHANGE Change);

static inline VOID ZooDispatch(PCHANGE Change, PNTSTATUS OperationStatus, ZOO_START *Start, ZOO_OUTCOME *Complete,
                               ZOO_OUTCOME *Failure)
{
    NTSTATUS status;

    switch (Change->State) {
    case KeProcessorAddStartNotify:
        status = Start(Change);
        if (!NT_SUCCESS(status)) {
            Refusal = status;
            *OperationStatus = status;
        }
        break;
    case KeProcessorAddCompleteNotify:
        Complete(Change);
        break;
    case KeProcessorAddFailureNotify:
        Failure(Change);
        break;
    default:
        break;
    }
}

#define ZOO_CALLBACK(start, complete, failure)                                                                         \
    static VOID NTAPI Callback(PVOID Context, PCHANGE Change, PNTSTATUS OperationStatus)                               \
    {                                                                                                                  \
        UNREFERENCED_PARAMETER(Context);                                                                               \
        ZooDispatch(Change, OperationStatus, start, complete, failure);                                                \
    }

/* Loading and unloading. */

static inline NTSTATUS ZooMakeTable(ULONG Count)
{
    Maximum = Count;
    Blocks = (PBLOCK *)ZooAllocate(Count * sizeof(PBLOCK));
    if (Blocks == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Blocks, Count * sizeof(PBLOCK));
    return STATUS_SUCCESS;
}

static inline VOID ZooFreeBlocks(VOID)
{
    ULONG index;

    /* A DPC that has set its event may still be about to return. */
    KeFlushQueuedDpcs();
    for (index = 0; index < Maximum; index++) {
        if (Blocks[index] != NULL)
            ZooFree(Blocks[index]);
        Blocks[index] = NULL;
    }
}

static inline VOID ZooFreeTable(VOID)
{
    ZooFreeBlocks();
    ZooFree(Blocks);
}

static inline NTSTATUS ZooRegister(ULONG Flags)
{
    Refusal = STATUS_UNSUCCESSFUL;
    Registration = KeRegisterProcessorChangeCallback(Callback, NULL, Flags);
    return Registration != NULL ? STATUS_SUCCESS : Refusal;
}

static inline NTSTATUS ZooLoadWith(ULONG Count, ULONG Flags)
{
    NTSTATUS status = ZooMakeTable(Count);

    if (!NT_SUCCESS(status))
        return status;
    status = ZooRegister(Flags);
    if (!NT_SUCCESS(status))
        ZooFreeTable();
    return status;
}

static inline ULONG ZooMaximum(VOID)
{
    return KeQueryMaximumProcessorCountEx(ALL_PROCESSOR_GROUPS);
}

static inline NTSTATUS ZooLoad(VOID)
{
    return ZooLoadWith(ZooMaximum(), KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

static inline VOID ZooUnload(VOID)
{
    KeDeregisterProcessorChangeCallback(Registration);
    ZooFreeTable();
}

#define ZOO_DRIVER(load, unload)                                                                                       \
    static VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)                                                        \
    {                                                                                                                  \
        UNREFERENCED_PARAMETER(DriverObject);                                                                          \
        unload();                                                                                                      \
    }                                                                                                                  \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)                              \
    {                                                                                                                  \
        NTSTATUS status;                                                                                               \
                                                                                                                       \
        UNREFERENCED_PARAMETER(RegistryPath);                                                                          \
        Driver = DriverObject;                                                                                         \
        status = load();                                                                                               \
        if (NT_SUCCESS(status))                                                                                        \
            DriverObject->DriverUnload = DriverUnload;                                                                 \
        return status;                                                                                                 \
    }

/* Threads, devices and affinities, for the drivers that have them. */

static inline NTSTATUS ZooMakeThread(PKSTART_ROUTINE Routine, PVOID Context, PHANDLE Thread)
{
    OBJECT_ATTRIBUTES attributes;

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    return PsCreateSystemThread(Thread, THREAD_ALL_ACCESS, &attributes, NULL, NULL, Routine, Context);
}

static inline VOID ZooAwaitThread(HANDLE Thread)
{
    ZwWaitForSingleObject(Thread, FALSE, NULL);
    ZwClose(Thread);
}

static inline NTSTATUS ZooMakeDevice(PDEVICE_OBJECT *Device)
{
    return IoCreateDevice(Driver, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, Device);
}

static inline GROUP_AFFINITY ZooAffinity(PCHANGE Change)
{
    GROUP_AFFINITY affinity;

    RtlZeroMemory(&affinity, sizeof(affinity));
    affinity.Group = Change->ProcNumber.Group;
    affinity.Mask = (KAFFINITY)1 << Change->ProcNumber.Number;
    return affinity;
}

static inline LARGE_INTEGER ZooMilliseconds(LONG Count)
{
    LARGE_INTEGER interval;

    /* Negative: from now on, in units of 100 ns. */
    interval.QuadPart = -10000LL * Count;
    return interval;
}
