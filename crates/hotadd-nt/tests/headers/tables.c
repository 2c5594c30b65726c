/* Generic tables, requests that a driver makes itself, remove locks, device queues, and the rest of tables.h, request.h,
   file.h and state.h. */
#include <ntifs.h>

typedef struct _ELEMENT {
    ULONG Key;
    ULONG Value;
} ELEMENT, *PELEMENT;

typedef struct _EXTENSION {
    PDEVICE_OBJECT Lower;
    IO_REMOVE_LOCK Lock;
    KDEVICE_QUEUE Queue;
    RTL_AVL_TABLE Table;
} EXTENSION, *PEXTENSION;

extern RTL_GENERIC_COMPARE_RESULTS NTAPI Compare(struct _RTL_AVL_TABLE *Table, PVOID First, PVOID Second);
extern PVOID NTAPI Allocate(struct _RTL_AVL_TABLE *Table, CLONG Size);
extern VOID NTAPI Free(struct _RTL_AVL_TABLE *Table, PVOID Memory);
extern NTSTATUS NTAPI Completed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context);
extern ULONG Tables(PEXTENSION Extension);
extern NTSTATUS Requests(PEXTENSION Extension, PDEVICE_OBJECT Device);
extern NTSTATUS State(VOID);
extern NTSTATUS Files(PUNICODE_STRING Name);

RTL_GENERIC_COMPARE_RESULTS NTAPI Compare(struct _RTL_AVL_TABLE *Table, PVOID First, PVOID Second)
{
    ULONG first = ((PELEMENT)First)->Key, second = ((PELEMENT)Second)->Key;

    UNREFERENCED_PARAMETER(Table);
    return first < second ? GenericLessThan : first > second ? GenericGreaterThan : GenericEqual;
}

PVOID NTAPI Allocate(struct _RTL_AVL_TABLE *Table, CLONG Size)
{
    UNREFERENCED_PARAMETER(Table);
    return ExAllocatePoolWithTag(NonPagedPool, Size, 'elbT');
}

VOID NTAPI Free(struct _RTL_AVL_TABLE *Table, PVOID Memory)
{
    UNREFERENCED_PARAMETER(Table);
    ExFreePoolWithTag(Memory, 'elbT');
}

ULONG Tables(PEXTENSION Extension)
{
    ELEMENT element = {1, 2};
    BOOLEAN is_new;
    PVOID key = NULL;
    PELEMENT found;
    ULONG sum = 0;

    RtlInitializeGenericTableAvl(&Extension->Table, Compare, Allocate, Free, Extension);
    if (!RtlInsertElementGenericTableAvl(&Extension->Table, &element, sizeof(element), &is_new) || !is_new)
        return 0;
    while ((found = (PELEMENT)RtlEnumerateGenericTableWithoutSplayingAvl(&Extension->Table, &key)) != NULL)
        sum += found->Value;
    if (RtlLookupElementGenericTableAvl(&Extension->Table, &element))
        RtlDeleteElementGenericTableAvl(&Extension->Table, &element);
    return sum + RtlNumberGenericTableElementsAvl(&Extension->Table);
}

NTSTATUS NTAPI Completed(PDEVICE_OBJECT DeviceObject, PIRP Irp, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    IoReleaseRemoveLock(&((PEXTENSION)Context)->Lock, Irp);
    IoFreeIrp(Irp);
    return STATUS_MORE_PROCESSING_REQUIRED;
}

NTSTATUS Requests(PEXTENSION Extension, PDEVICE_OBJECT Device)
{
    IO_STATUS_BLOCK block;
    KEVENT event;
    NTSTATUS status;
    PIRP irp;

    Extension->Lower = IoAttachDeviceToDeviceStack(Device, IoGetAttachedDevice(Device));
    IoInitializeRemoveLock(&Extension->Lock, 'kcoL', 0, 0);
    KeInitializeDeviceQueue(&Extension->Queue);
    KeInitializeEvent(&event, NotificationEvent, FALSE);
    status = IoAcquireRemoveLock(&Extension->Lock, Extension);
    if (!NT_SUCCESS(status))
        return status;
    irp = IoBuildDeviceIoControlRequest(CTL_CODE(FILE_DEVICE_UNKNOWN, 1, METHOD_BUFFERED, FILE_ANY_ACCESS),
                                        Extension->Lower, NULL, 0, NULL, 0, FALSE, &event, &block);
    if (irp != NULL && IoCallDriver(Extension->Lower, irp) == STATUS_PENDING)
        KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
    irp = IoAllocateIrp(Device->StackSize, FALSE);
    if (irp == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    IoReuseIrp(irp, STATUS_SUCCESS);
    IoCancelIrp(irp);
    Completed(Device, irp, Extension);
    IoReleaseRemoveLockAndWait(&Extension->Lock, Extension);
    IoDetachDevice(Extension->Lower);
    return block.Status;
}

NTSTATUS State(VOID)
{
    KAPC_STATE apc;
    PVOID frames[4];
    NTSTATUS status = STATUS_SUCCESS;
#ifndef HEADERS_OF_MINGW
    KFLOATING_SAVE save;

    status = KeSaveFloatingPointState(&save);
    if (NT_SUCCESS(status))
        status = KeRestoreFloatingPointState(&save);
#endif
    KeStackAttachProcess((PKPROCESS)PsGetCurrentProcess(), &apc);
    KeUnstackDetachProcess(&apc);
    if (ExIsProcessorFeaturePresent(PF_XMMI64_INSTRUCTIONS_AVAILABLE) && RtlCaptureStackBackTrace(0, 4, frames, NULL))
        return status;
    return STATUS_NOT_SUPPORTED;
}

NTSTATUS Files(PUNICODE_STRING Name)
{
    OBJECT_ATTRIBUTES attributes;
    IO_STATUS_BLOCK block;
    HANDLE file;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, Name, OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ZwOpenFile(&file, GENERIC_READ, &attributes, &block, 0, 0);
    if (!NT_SUCCESS(status))
        return status;
    status = ZwFlushBuffersFile(file, &block);
    ZwClose(file);
    return status;
}
