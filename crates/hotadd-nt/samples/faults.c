/*
 * Drivers with one fault each, chosen by FAULT: what a host has to survive. Except for those in loading and unloading
 * the fault happens when a later processor is announced (AddStart).
 */
#include <ntddk.h>

#define FAULT_null 1       /* writes to address 0 */
#define FAULT_stack 2      /* overflows its stack */
#define FAULT_loop 3       /* never returns */
#define FAULT_fastfail 4   /* ends itself: int 0x29 */
#define FAULT_bugcheck 5   /* KeBugCheckEx */
#define FAULT_spinlock 6   /* returns holding a spin lock, at DISPATCH_LEVEL */
#define FAULT_import 7     /* calls a function that nobody provides */
#define FAULT_doublefree 8 /* frees a block twice */
#define FAULT_leak 9       /* never frees a block */
#define FAULT_registered 10 /* does not deregister before its unload ends */
#define FAULT_failentry 11 /* fails to load after having registered */
#define FAULT_nounload 12  /* cannot be unloaded */
#define FAULT_raise 13     /* raises an exception that nobody handles */
#define FAULT_early 14     /* queues a DPC at a processor that has not joined */

#define FAULT_TAG 'tluF'
#define IS(fault) (FAULT == FAULT_##fault)

static PVOID Registration;

DRIVER_INITIALIZE DriverEntry;
DRIVER_UNLOAD FaultUnload;
static PROCESSOR_CALLBACK_FUNCTION FaultCallback;

#if IS(null)
static VOID Fault(VOID)
{
    /* volatile: the compiler must not see that this is nowhere. */
    static PULONG volatile nowhere;

    *nowhere = 1;
}
#elif IS(stack)
static volatile ULONG Depth;

static ULONG Deeper(ULONG Level)
{
    volatile UCHAR frame[1024];

    frame[Level % sizeof(frame)] = (UCHAR)Level;
    if (Depth == 0)
        return frame[0];
    /* Used after the call, so that the frame stays. */
    return Deeper(Level + 1) + frame[Level % sizeof(frame)];
}

static VOID Fault(VOID)
{
    Depth = 1;
    Depth = Deeper(0);
}
#elif IS(loop)
static VOID Fault(VOID)
{
    for (;;)
        YieldProcessor();
}
#elif IS(fastfail)
static VOID Fault(VOID)
{
    __asm__ volatile("int $0x29" : : "c"(7));
}
#elif IS(bugcheck)
static VOID Fault(VOID)
{
    KeBugCheckEx(0xE2, 1, 2, 3, 4);
}
#elif IS(spinlock)
static KSPIN_LOCK Lock;

static VOID Fault(VOID)
{
    KIRQL old;

    KeInitializeSpinLock(&Lock);
    KeAcquireSpinLock(&Lock, &old);
}
#elif IS(import)
/* import.def has it as a function of ntoskrnl.exe. */
extern VOID NTAPI KeNobodyProvidesThis(VOID);

static VOID Fault(VOID)
{
    KeNobodyProvidesThis();
}
#elif IS(doublefree)
static VOID Fault(VOID)
{
    PVOID volatile block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, FAULT_TAG);

    ExFreePoolWithTag(block, FAULT_TAG);
    ExFreePoolWithTag(block, FAULT_TAG);
}
#elif IS(leak)
static PVOID Leaked;

static VOID Fault(VOID)
{
    Leaked = ExAllocatePoolWithTag(NonPagedPoolNx, 64, FAULT_TAG);
}
#elif IS(raise)
static VOID Fault(VOID)
{
    ExRaiseStatus(STATUS_NO_MEMORY);
}
#elif IS(early)
static KDPC Dpc;

static VOID NTAPI Never(PKDPC Unused, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Unused);
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    DbgPrint("fault: the DPC ran on processor %lu\n", KeGetCurrentProcessorNumberEx(NULL));
}

/* The index is that of the first processor to come. */
static VOID Fault(VOID)
{
    ULONG next = KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS);
    PROCESSOR_NUMBER number;

    KeInitializeDpc(&Dpc, Never, NULL);
    if (NT_SUCCESS(KeGetProcessorNumberFromIndex(next, &number)) &&
        NT_SUCCESS(KeSetTargetProcessorDpcEx(&Dpc, &number)))
        DbgPrint("fault: queued too early: %u\n", (ULONG)KeInsertQueueDpc(&Dpc, NULL, NULL));
}
#elif IS(registered) || IS(failentry) || IS(nounload)
static VOID Fault(VOID)
{
}
#else
#error "FAULT is none of those above"
#endif

static VOID NTAPI FaultCallback(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(OperationStatus);
    if (Change->State == KeProcessorAddStartNotify) {
        DbgPrint("fault: processor %lu: start\n", Change->NtNumber);
        Fault();
    }
}

VOID NTAPI FaultUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (!IS(registered))
        KeDeregisterProcessorChangeCallback(Registration);
    DbgPrint("fault: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    Registration = KeRegisterProcessorChangeCallback(FaultCallback, NULL, 0);
    if (Registration == NULL)
        return STATUS_UNSUCCESSFUL;
    if (IS(failentry))
        return STATUS_DEVICE_DOES_NOT_EXIST;
    if (!IS(nounload))
        DriverObject->DriverUnload = FaultUnload;
    DbgPrint("fault: loaded\n");
    return STATUS_SUCCESS;
}
