/* A driver that a host loads: DriverEntry calls what the headers declare, and fails with the line that does not hold. */
#include <ntddk.h>
#include <intrin.h>
#include <stdlib.h>
#include <wctype.h>
#include <ntintsafe.h>

#define CHECK(e)                                       \
    do {                                               \
        if (!(e))                                      \
            return (NTSTATUS)(0xE0000000 | __LINE__);  \
    } while (0)

EXTERN_C DRIVER_INITIALIZE DriverEntry;
extern DRIVER_UNLOAD Unload;
extern KSTART_ROUTINE Thread;
EXTERN_C int Backwards(const void *a, const void *b);
EXTERN_C NTSTATUS Variables(VOID);
EXTERN_C NTSTATUS Library(VOID);
EXTERN_C NTSTATUS System(PUNICODE_STRING Path);
EXTERN_C NTSTATUS Memory(PDRIVER_OBJECT Driver);
EXTERN_C NTSTATUS Exceptions(VOID);

int Backwards(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

VOID NTAPI Thread(PVOID Context)
{
    *(volatile LONG *)Context = 1;
    PsTerminateSystemThread(STATUS_SUCCESS);
}

NTSTATUS Variables(VOID)
{
    volatile LONG ran = 0;
    HANDLE handle;
    PVOID thread;

    CHECK(KeNumberProcessors >= 2 && (ULONG)KeNumberProcessors == KeQueryActiveProcessorCount(NULL));
    CHECK(*InitSafeBootMode == 0 && KD_DEBUGGER_NOT_PRESENT && !KD_DEBUGGER_ENABLED && (NtBuildNumber & 0xffff) == 19045);
    CHECK((ULONG_PTR)MmSystemRangeStart == (ULONG_PTR)MmHighestUserAddress + 1 && MM_USER_PROBE_ADDRESS > 0x10000);
    CHECK(PsInitialSystemProcess == PsGetCurrentProcess() && PsIsSystemThread(PsGetCurrentThread()));
    CHECK(NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Thread, (PVOID)&ran)));
    CHECK(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsProcessType, KernelMode, &thread, NULL) ==
          STATUS_OBJECT_TYPE_MISMATCH);
    CHECK(NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, *PsThreadType, KernelMode, &thread, NULL)));
    CHECK(ZwWaitForSingleObject(handle, FALSE, NULL) == STATUS_WAIT_0 && ran == 1);
    ObDereferenceObject(thread);
    CHECK(NT_SUCCESS(ZwClose(handle)));
    return STATUS_SUCCESS;
}

#pragma code_seg("PAGE")
NTSTATUS Library(VOID)
{
    int numbers[4] = {3, 1, 4, 2}, wanted = 4;
    CHAR text[16];
    WCHAR wide[16];

    PAGED_CODE()
    qsort(numbers, 4, sizeof(int), Backwards);
    CHECK(numbers[0] == 4 && numbers[3] == 1 && bsearch(&wanted, numbers, 4, sizeof(int), Backwards) == &numbers[0]);
    srand(1);
    CHECK(rand() >= 0 && atoi("-12x") == -12 && towupper(L'\u00e9') == L'\u00c9' && towlower(L'A') == L'a');
    CHECK(_snprintf(text, 16, "%lu %ws", (ULONG)7, L"w") == 3 && strcmp(text, "7 w") == 0);
    CHECK(swprintf_s(wide, 16, L"%d%hs", 5, "n") == 2 && wcscmp(wide, L"5n") == 0);
    CHECK(_stricmp("aB", "Ab") == 0 && strchr("abc", 'c') != NULL && *strstr("abc", "bc") == 'b');
    return STATUS_SUCCESS;
}
#pragma code_seg()

NTSTATUS System(PUNICODE_STRING Path)
{
    RTL_OSVERSIONINFOEXW version;
    OBJECT_ATTRIBUTES attributes;
    LARGE_INTEGER time, before;
    TIME_FIELDS fields;
    KSPIN_LOCK lock;
    HANDLE key;
    KIRQL old;

    InitializeObjectAttributes(&attributes, Path, OBJ_KERNEL_HANDLE, NULL, NULL);
    CHECK(ZwOpenKey(&key, KEY_READ, &attributes) == STATUS_OBJECT_NAME_NOT_FOUND);
    RtlZeroMemory(&version, sizeof(version));
    version.dwOSVersionInfoSize = sizeof(version);
    version.dwMajorVersion = 11;
    CHECK(RtlVerifyVersionInfo(&version, VER_MAJORVERSION, VerSetConditionMask(0, VER_MAJORVERSION, VER_LESS_EQUAL)) ==
          STATUS_SUCCESS);
    RtlSecondsSince1970ToTime(86400, &time);
    RtlTimeToTimeFields(&time, &fields);
    CHECK(fields.Year == 1970 && fields.Month == 1 && fields.Day == 2 && fields.Weekday == 5);
    KeInitializeSpinLock(&lock);
    time.QuadPart = 1LL << 40;
    before.QuadPart = 2;
    before = ExInterlockedAddLargeInteger(&time, before, &lock);
    CHECK(before.QuadPart == 1LL << 40 && time.QuadPart == (1LL << 40) + 2);
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    CHECK(old == PASSIVE_LEVEL && KeGetCurrentIrql() == DISPATCH_LEVEL);
    KeLowerIrql(old);
    KeAcquireSpinLock(&lock, &old);
    KeReleaseSpinLock(&lock, old);
    return STATUS_SUCCESS;
}

NTSTATUS Memory(PDRIVER_OBJECT Driver)
{
    PHYSICAL_ADDRESS highest;
    PVOID pages, extension;
    ULONG size;

    highest.QuadPart = MAXLONGLONG;
    pages = MmAllocateContiguousMemory(0x2000, highest);
    CHECK(pages != NULL && (ULONG_PTR)pages > MAXULONG && MmIsAddressValid(pages));
    RtlFillMemory(pages, 0x2000, 0x11);
    CHECK(RtlCompareMemoryUlong(pages, 0x2000, 0x11111111) == 0x2000 && MmGetPhysicalAddress(pages).QuadPart != 0);
    MmFreeContiguousMemory(pages);
    CHECK(NT_SUCCESS(IoAllocateDriverObjectExtension(Driver, Driver, 16, &extension)));
    CHECK(IoGetDriverObjectExtension(Driver, Driver) == extension);
    CHECK(RtlSizeTToULong(1ULL << 32, &size) == STATUS_INTEGER_OVERFLOW);
    return STATUS_SUCCESS;
}

NTSTATUS Exceptions(VOID)
{
#ifdef _WIN32
    NTSTATUS status = STATUS_SUCCESS;

    __try {
        RtlRaiseStatus(STATUS_DATA_ERROR);
    } __except (GetExceptionCode() == STATUS_DATA_ERROR ? EXCEPTION_EXECUTE_HANDLER : EXCEPTION_CONTINUE_SEARCH) {
        status = GetExceptionCode();
    }
    CHECK(status == STATUS_DATA_ERROR);
#endif
    return STATUS_SUCCESS;
}

VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status = Variables();

    DriverObject->DriverUnload = Unload;
    if (NT_SUCCESS(status))
        status = Library();
    if (NT_SUCCESS(status))
        status = System(RegistryPath);
    if (NT_SUCCESS(status))
        status = Memory(DriverObject);
    if (NT_SUCCESS(status))
        status = Exceptions();
    DbgPrint("hosted: %#x\n", status);
    return status;
}
