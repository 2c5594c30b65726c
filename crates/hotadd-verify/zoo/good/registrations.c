/*
 * Registers one function twice, each time with a table of its own, and a third one with \Callback\ProcessorAdd, which is
 * not told of the existing processors.
 */
#include "../zoo.h"

typedef struct _TABLE {
    PVOID Registration;
    PVOID *Buffers; /* by index */
} TABLE, *PTABLE;

static TABLE Tables[2], Later;
static PCALLBACK_OBJECT Object;
static CALLBACK_FUNCTION ProcessorAdd;

static NTSTATUS Start(PTABLE Table, ULONG Index)
{
    Table->Buffers[Index] = ZooAllocate(256);
    return Table->Buffers[Index] != NULL ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

static VOID FreeBuffer(PTABLE Table, ULONG Index)
{
    if (Table->Buffers[Index] != NULL)
        ZooFree(Table->Buffers[Index]);
    Table->Buffers[Index] = NULL;
}

static VOID NTAPI Callback(PVOID Context, PCHANGE Change, PNTSTATUS OperationStatus)
{
    PTABLE table = (PTABLE)Context;
    NTSTATUS status;

    if (Change->State == KeProcessorAddStartNotify) {
        status = Start(table, Change->NtNumber);
        if (!NT_SUCCESS(status)) {
            Refusal = status;
            *OperationStatus = status;
        }
    } else if (Change->State == KeProcessorAddFailureNotify) {
        FreeBuffer(table, Change->NtNumber);
    }
}

static VOID NTAPI ProcessorAdd(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    Callback(Context, (PCHANGE)Argument1, (PNTSTATUS)Argument2);
}

static NTSTATUS MakeTable(PTABLE Table)
{
    SIZE_T size = Maximum * sizeof(PVOID);

    Table->Registration = NULL;
    Table->Buffers = (PVOID *)ZooAllocate(size);
    if (Table->Buffers == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Table->Buffers, size);
    return STATUS_SUCCESS;
}

static VOID FreeTable(PTABLE Table)
{
    ULONG index;

    for (index = 0; index < Maximum; index++)
        FreeBuffer(Table, index);
    ZooFree(Table->Buffers);
}

static NTSTATUS Begin(PTABLE Table)
{
    NTSTATUS status = MakeTable(Table);

    if (!NT_SUCCESS(status))
        return status;
    Refusal = STATUS_UNSUCCESSFUL;
    Table->Registration = KeRegisterProcessorChangeCallback(Callback, Table, KE_PROCESSOR_CHANGE_ADD_EXISTING);
    if (Table->Registration != NULL)
        return STATUS_SUCCESS;
    FreeTable(Table);
    return Refusal;
}

static VOID End(PTABLE Table)
{
    KeDeregisterProcessorChangeCallback(Table->Registration);
    FreeTable(Table);
}

static NTSTATUS BeginLater(VOID)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    NTSTATUS status = MakeTable(&Later);

    if (!NT_SUCCESS(status))
        return status;
    RtlInitUnicodeString(&name, L"\\Callback\\ProcessorAdd");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ExCreateCallback(&Object, &attributes, FALSE, TRUE);
    if (!NT_SUCCESS(status)) {
        FreeTable(&Later);
        return status;
    }
    Later.Registration = ExRegisterCallback(Object, ProcessorAdd, &Later);
    if (Later.Registration != NULL)
        return STATUS_SUCCESS;
    ObDereferenceObject(Object);
    FreeTable(&Later);
    return STATUS_UNSUCCESSFUL;
}

static VOID EndLater(VOID)
{
    ExUnregisterCallback(Later.Registration);
    ObDereferenceObject(Object);
    FreeTable(&Later);
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    Maximum = ZooMaximum();
    status = Begin(&Tables[0]);
    if (!NT_SUCCESS(status))
        return status;
    status = Begin(&Tables[1]);
    if (NT_SUCCESS(status)) {
        status = BeginLater();
        if (NT_SUCCESS(status))
            return status;
        End(&Tables[1]);
    }
    End(&Tables[0]);
    return status;
}

static VOID Unload(VOID)
{
    EndLater();
    End(&Tables[1]);
    End(&Tables[0]);
}

ZOO_DRIVER(Load, Unload)
