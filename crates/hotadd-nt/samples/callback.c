/*
 * A driver that hears of processors from the system's callback object \Callback\ProcessorAdd, with three functions. The
 * second refuses every processor from the index REFUSE_FROM on: the first is told AddFailure, and the third hears nothing
 * of that processor.
 */
#include <ntddk.h>

#ifndef REFUSE_FROM
#define REFUSE_FROM 2
#endif

typedef struct _LISTENER {
    const char *Name;
    BOOLEAN Refuses;
    PVOID Registration;
} LISTENER, *PLISTENER;

static LISTENER Listeners[3] = { { "first", FALSE, NULL }, { "second", TRUE, NULL }, { "third", FALSE, NULL } };
static PCALLBACK_OBJECT Object;

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD CallbackUnload;
static CALLBACK_FUNCTION CallbackNotify;

/* Argument1 is the change, Argument2 the status: it may be set while the processor is being announced, and only then. */
static VOID NTAPI CallbackNotify(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PLISTENER listener = (PLISTENER)Context;
    PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT change = (PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT)Argument1;
    PNTSTATUS status = (PNTSTATUS)Argument2;
    ULONG index = change->NtNumber;

    switch (change->State) {
    case KeProcessorAddStartNotify:
        if (listener->Refuses && index >= REFUSE_FROM) {
            DbgPrint("callback: %s: processor %lu: refused\n", listener->Name, index);
            *status = STATUS_INSUFFICIENT_RESOURCES;
        } else {
            DbgPrint("callback: %s: processor %lu: start\n", listener->Name, index);
        }
        break;
    case KeProcessorAddCompleteNotify:
        DbgPrint("callback: %s: processor %lu: complete\n", listener->Name, index);
        break;
    case KeProcessorAddFailureNotify:
        DbgPrint("callback: %s: processor %lu: failure, 0x%08lx\n", listener->Name, index, (ULONG)change->Status);
        break;
    default:
        break;
    }
}

static VOID CallbackStop(VOID)
{
    ULONG at;

    for (at = 0; at < RTL_NUMBER_OF(Listeners); at++) {
        if (Listeners[at].Registration != NULL)
            ExUnregisterCallback(Listeners[at].Registration);
        Listeners[at].Registration = NULL;
    }
    ObDereferenceObject(Object);
}

static VOID NTAPI CallbackUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    CallbackStop();
    DbgPrint("callback: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    NTSTATUS status;
    ULONG at;

    UNREFERENCED_PARAMETER(RegistryPath);
    RtlInitUnicodeString(&name, L"\\Callback\\ProcessorAdd");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE, NULL, NULL);
    status = ExCreateCallback(&Object, &attributes, FALSE, TRUE);
    if (!NT_SUCCESS(status))
        return status;
    for (at = 0; at < RTL_NUMBER_OF(Listeners); at++) {
        Listeners[at].Registration = ExRegisterCallback(Object, CallbackNotify, &Listeners[at]);
        if (Listeners[at].Registration == NULL) {
            CallbackStop();
            return STATUS_UNSUCCESSFUL;
        }
    }
    DriverObject->DriverUnload = CallbackUnload;
    DbgPrint("callback: loaded, refuses processors from %lu on\n", (ULONG)REFUSE_FROM);
    return STATUS_SUCCESS;
}
