/*
 * Structured exception handling, which only the .sys form has. DriverEntry goes through what a host must get right and
 * fails at the first that is wrong; the callback handles an exception of its own and answers with its status.
 */
#include <ntddk.h>

static PVOID Registration;

/* What happened, one digit each: the order is what matters. */
static ULONG Trace;

static VOID Step(ULONG Digit)
{
    Trace = Trace * 10 + Digit;
}

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD SehUnload;
static PROCESSOR_CALLBACK_FUNCTION SehCallback;

/* Not inlined: the exceptions have to cross frames. */
DECLSPEC_NOINLINE static VOID Raise(NTSTATUS Status)
{
    ExRaiseStatus(Status);
}

DECLSPEC_NOINLINE static ULONG ReadFrom(volatile ULONG *Address)
{
    return *Address;
}

DECLSPEC_NOINLINE static VOID RaiseAcrossFinally(NTSTATUS Status)
{
    __try {
        Step(1);
        Raise(Status);
        Step(9);
    } __finally {
        Step(AbnormalTermination() ? 3 : 9);
    }
    Step(9);
}

static LONG Filter(NTSTATUS Code, NTSTATUS Wanted)
{
    Step(2);
    return Code == Wanted ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH;
}

/* The filter runs before the finally of the frame below, the handler after it. */
DECLSPEC_NOINLINE static BOOLEAN AcrossFrames(VOID)
{
    Trace = 0;
    __try {
        RaiseAcrossFinally(STATUS_DATA_ERROR);
    } __except (Filter(GetExceptionCode(), STATUS_DATA_ERROR)) {
        Step(4);
    }
    return Trace == 1234;
}

/* A filter that does not want it leaves it to the frame around it. */
DECLSPEC_NOINLINE static BOOLEAN FilterDeclines(VOID)
{
    Trace = 0;
    __try {
        __try {
            Raise(STATUS_DATA_ERROR);
        } __except (Filter(GetExceptionCode(), STATUS_NO_MEMORY)) {
            Step(9);
        }
    } __except (GetExceptionCode() == STATUS_DATA_ERROR ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        Step(5);
    }
    return Trace == 25;
}

/* A handler that raises again is not its own handler. */
DECLSPEC_NOINLINE static BOOLEAN RaiseInHandler(VOID)
{
    Trace = 0;
    __try {
        __try {
            Raise(STATUS_DATA_ERROR);
        } __except (EXCEPTION_EXECUTE_HANDLER) {
            Step(1);
            Raise(STATUS_NO_MEMORY);
        }
    } __except (GetExceptionCode() == STATUS_NO_MEMORY ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        Step(2);
    }
    return Trace == 12;
}

/* Without an exception the finally runs too, and says so. */
DECLSPEC_NOINLINE static BOOLEAN FinallyWithout(VOID)
{
    Trace = 0;
    __try {
        Step(1);
    } __finally {
        Step(AbnormalTermination() ? 9 : 2);
    }
    return Trace == 12;
}

/* A fault of the processor is an exception like others. */
DECLSPEC_NOINLINE static BOOLEAN AccessViolation(VOID)
{
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        ReadFrom((volatile ULONG *)8);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        status = GetExceptionCode();
    }
    return status == STATUS_ACCESS_VIOLATION;
}

static VOID SehCallback(PVOID Context, PKE_PROCESSOR_CHANGE_NOTIFY_CONTEXT Change, PNTSTATUS OperationStatus)
{
    UNREFERENCED_PARAMETER(Context);
    if (Change->State != KeProcessorAddStartNotify)
        return;
    __try {
        Raise(STATUS_NO_MEMORY);
    } __except (EXCEPTION_EXECUTE_HANDLER) {
        *OperationStatus = GetExceptionCode();
        DbgPrint("seh: processor %lu: refused, 0x%08lx\n", Change->NtNumber, (ULONG)*OperationStatus);
    }
}

static VOID SehUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeDeregisterProcessorChangeCallback(Registration);
    DbgPrint("seh: unloaded\n");
}

NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    static const struct {
        const char *Name;
        BOOLEAN (*Run)(VOID);
    } checks[] = {
        {"across frames", AcrossFrames},       {"filter declines", FilterDeclines},
        {"raise in handler", RaiseInHandler},  {"finally without", FinallyWithout},
        {"access violation", AccessViolation},
    };
    ULONG i;

    UNREFERENCED_PARAMETER(RegistryPath);
    for (i = 0; i < RTL_NUMBER_OF(checks); i++) {
        if (!checks[i].Run()) {
            DbgPrint("seh: %s: wrong, trace %lu\n", checks[i].Name, Trace);
            return STATUS_UNSUCCESSFUL;
        }
        DbgPrint("seh: %s: ok\n", checks[i].Name);
    }
    Registration = KeRegisterProcessorChangeCallback(SehCallback, NULL, 0);
    if (Registration == NULL)
        return STATUS_UNSUCCESSFUL;
    DriverObject->DriverUnload = SehUnload;
    DbgPrint("seh: loaded\n");
    return STATUS_SUCCESS;
}
