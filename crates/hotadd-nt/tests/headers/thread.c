/* System threads, work items, callback objects, the version. */
#include <ntifs.h>

static PETHREAD Thread;
static volatile BOOLEAN Stop;

extern KSTART_ROUTINE ThreadMain;
extern NTSTATUS Start(VOID);
extern VOID End(VOID);
extern WORKER_THREAD_ROUTINE Worker;
extern CALLBACK_FUNCTION Notified;
extern NTSTATUS Callbacks(PDRIVER_OBJECT DriverObject);
extern NTSTATUS Version(PULONG Build);

VOID NTAPI ThreadMain(PVOID StartContext)
{
    UNREFERENCED_PARAMETER(StartContext);
    KeSetPriorityThread((PKTHREAD)PsGetCurrentThread(), LOW_REALTIME_PRIORITY);
    while (!Stop)
        YieldProcessor();
    PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS Start(VOID)
{
    OBJECT_ATTRIBUTES attributes;
    HANDLE handle;
    NTSTATUS status;

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    status = PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, ThreadMain, NULL);
    if (!NT_SUCCESS(status))
        return status;
    status = ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, (PVOID *)&Thread, NULL);
    ZwClose(handle);
    return status;
}

VOID End(VOID)
{
    Stop = TRUE;
    KeWaitForSingleObject(Thread, Executive, KernelMode, FALSE, NULL);
    ObReferenceObject(Thread);
    ObDereferenceObject(Thread);
    ObDereferenceObject(Thread);
}

VOID NTAPI Worker(PVOID Parameter)
{
    ExFreePoolWithTag(Parameter, 'kroW');
}

VOID NTAPI Notified(PVOID CallbackContext, PVOID Argument1, PVOID Argument2)
{
    PWORK_QUEUE_ITEM item = (PWORK_QUEUE_ITEM)ExAllocatePoolWithTag(NonPagedPool, sizeof(*item), 'kroW');

    UNREFERENCED_PARAMETER(CallbackContext);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    if (item == NULL)
        return;
    ExInitializeWorkItem(item, Worker, item);
    ExQueueWorkItem(item, DelayedWorkQueue);
}

NTSTATUS Callbacks(PDRIVER_OBJECT DriverObject)
{
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    PCALLBACK_OBJECT object;
    PVOID registration;
    NTSTATUS status;

    RtlInitUnicodeString(&name, L"\\Callback\\Headers");
    InitializeObjectAttributes(&attributes, &name, OBJ_CASE_INSENSITIVE, NULL, NULL);
    status = ExCreateCallback(&object, &attributes, TRUE, TRUE);
    if (!NT_SUCCESS(status))
        return status;
    registration = ExRegisterCallback(object, Notified, DriverObject);
    ExNotifyCallback(object, NULL, NULL);
    if (registration != NULL)
        ExUnregisterCallback(registration);
    ObDereferenceObject(object);
    return STATUS_SUCCESS;
}

NTSTATUS Version(PULONG Build)
{
    RTL_OSVERSIONINFOW version;
    NTSTATUS status;

    RtlZeroMemory(&version, sizeof(version));
    version.dwOSVersionInfoSize = sizeof(version);
    status = RtlGetVersion(&version);
    *Build = version.dwBuildNumber;
    return ExGetPreviousMode() == KernelMode ? status : STATUS_ACCESS_DENIED;
}
