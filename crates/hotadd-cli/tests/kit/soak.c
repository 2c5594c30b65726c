/*
 * Uses everything that makes the host's own runtime work: memory of every size, threads that begin and end, tables, wide
 * and narrow text, time, what a system has, and in a .sys exceptions. SECONDS says how long.
 */
#include <ntddk.h>
#include <ntstrsafe.h>

#define TAG 'kaoS'
/* Each round takes and frees this many blocks of each size. */
#define BLOCKS 64
/* More than a trimming threshold of the C library, and more than its largest cached block. */
#define LARGEST (1 << 21)

static PVOID Blocks[2000];

static BOOLEAN TakeAndFree(SIZE_T size, ULONG count)
{
    ULONG i;

    for (i = 0; i < count; i++) {
        Blocks[i] = ExAllocatePool2(i % 2 ? POOL_FLAG_NON_PAGED : POOL_FLAG_PAGED | POOL_FLAG_UNINITIALIZED, size, TAG);
        if (!Blocks[i])
            return FALSE;
        *(volatile UCHAR *)Blocks[i] = 1;
    }
    /* The newest first, so that the heap's end becomes free, and then in the other order. */
    for (i = count; i-- > count / 2;)
        ExFreePoolWithTag(Blocks[i], TAG);
    for (i = 0; i < count / 2; i++)
        ExFreePoolWithTag(Blocks[i], TAG);
    return TRUE;
}

static VOID Thread(PVOID context)
{
    PVOID block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 90000, TAG);

    if (block)
        ExFreePoolWithTag(block, TAG);
    InterlockedIncrement((volatile LONG *)context);
    PsTerminateSystemThread(STATUS_SUCCESS);
}

static BOOLEAN BeginAndEnd(ULONG count)
{
    volatile LONG ended = 0;
    ULONG i;

    for (i = 0; i < count; i++) {
        HANDLE handle;
        PVOID thread;
        OBJECT_ATTRIBUTES attributes;

        InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
        if (!NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, Thread, (PVOID)&ended)))
            return FALSE;
        if (!NT_SUCCESS(ObReferenceObjectByHandle(handle, THREAD_ALL_ACCESS, NULL, KernelMode, &thread, NULL)))
            return FALSE;
        ZwClose(handle);
        KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread);
    }
    return ended == (LONG)count;
}

static BOOLEAN Print(void)
{
    CHAR narrow[64];
    WCHAR wide[64];
    LARGE_INTEGER now;
    TIME_FIELDS fields;

    KeQuerySystemTime(&now);
    ExSystemTimeToLocalTime(&now, &now);
    RtlTimeToTimeFields(&now, &fields);
    return NT_SUCCESS(RtlStringCbPrintfA(narrow, sizeof narrow, "%d %s %llx", fields.Year, "text", now.QuadPart)) &&
           NT_SUCCESS(RtlStringCbPrintfW(wide, sizeof wide, L"%d %ws", fields.Month, L"text"));
}

static RTL_GENERIC_COMPARE_RESULTS Compare(PRTL_AVL_TABLE table, PVOID a, PVOID b)
{
    ULONG one = *(PULONG)a, other = *(PULONG)b;

    UNREFERENCED_PARAMETER(table);
    return one < other ? GenericLessThan : one > other ? GenericGreaterThan : GenericEqual;
}

static PVOID AllocateElement(PRTL_AVL_TABLE table, CLONG size)
{
    UNREFERENCED_PARAMETER(table);
    return ExAllocatePool2(POOL_FLAG_NON_PAGED, size, TAG);
}

static VOID FreeElement(PRTL_AVL_TABLE table, PVOID element)
{
    UNREFERENCED_PARAMETER(table);
    ExFreePoolWithTag(element, TAG);
}

static BOOLEAN Count(void)
{
    RTL_AVL_TABLE table;
    ULONG i;

    RtlInitializeGenericTableAvl(&table, Compare, AllocateElement, FreeElement, NULL);
    for (i = 0; i < 500; i++) {
        ULONG element = i * 7919 % 500;

        if (!RtlInsertElementGenericTableAvl(&table, &element, sizeof element, NULL))
            return FALSE;
    }
    if (RtlNumberGenericTableElementsAvl(&table) != 500)
        return FALSE;
    for (i = 0; i < 500; i++)
        if (!RtlDeleteElementGenericTableAvl(&table, &i))
            return FALSE;
    return RtlIsGenericTableEmptyAvl(&table);
}

/* What a driver asks of the rest of a system. */
static BOOLEAN Ask(void)
{
    PHYSICAL_ADDRESS low, high, skip;
    OBJECT_ATTRIBUTES attributes;
    UNICODE_STRING name;
    IO_STATUS_BLOCK status;
    HANDLE handle;
    PVOID frames[8];
    PEPROCESS process;
    PMDL mdl;
    PIRP irp;
    GUID guid;

    low.QuadPart = skip.QuadPart = 0;
    high.QuadPart = MAXLONGLONG;
    mdl = MmAllocatePagesForMdlEx(low, high, skip, 1 << 20, MmCached, 0);
    if (!mdl)
        return FALSE;
    MmFreePagesFromMdl(mdl);
    ExFreePool(mdl);
    irp = IoAllocateIrp(4, FALSE);
    if (!irp)
        return FALSE;
    IoFreeIrp(irp);
    if (!NT_SUCCESS(PsLookupProcessByProcessId(PsGetCurrentProcessId(), &process)))
        return FALSE;
    ObDereferenceObject(process);
    RtlCaptureStackBackTrace(0, 8, frames, NULL);
    if (!NT_SUCCESS(ExUuidCreate(&guid)))
        return FALSE;
    RtlInitUnicodeString(&name, L"\\BaseNamedObjects\\Soak");
    if (!IoCreateNotificationEvent(&name, &handle))
        return FALSE;
    ZwClose(handle);
    RtlInitUnicodeString(&name, L"\\??\\C:\\soak.txt");
    InitializeObjectAttributes(&attributes, &name, OBJ_KERNEL_HANDLE, NULL, NULL);
    return ZwCreateFile(&handle, GENERIC_READ, &attributes, &status, NULL, 0, 0, FILE_OPEN, 0, NULL, 0) ==
           STATUS_OBJECT_PATH_NOT_FOUND;
}

static BOOLEAN Raise(void)
{
#ifdef _MSC_VER
    ULONG i, caught = 0;

    for (i = 0; i < 100; i++) {
        __try {
            ExRaiseStatus(STATUS_INVALID_PARAMETER);
        } __except (GetExceptionCode() == STATUS_INVALID_PARAMETER) {
            caught++;
        }
    }
    return caught == 100;
#else
    return TRUE;
#endif
}

static VOID Unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver);
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING path)
{
    LARGE_INTEGER frequency, now, end;
    ULONG rounds = 0, i;

    UNREFERENCED_PARAMETER(path);
    driver->DriverUnload = Unload;
    end = KeQueryPerformanceCounter(&frequency);
    end.QuadPart += SECONDS * frequency.QuadPart;
    do {
        SIZE_T size;

        for (size = 1; size <= LARGEST; size *= 2) {
            ULONG count = size > 65536 ? 8 : BLOCKS;

            if (!TakeAndFree(size, count) || !TakeAndFree(size + size / 2, count))
                return STATUS_NO_MEMORY;
        }
        for (i = 0; i < 30; i++)
            if (!TakeAndFree(90000, 1))
                return STATUS_NO_MEMORY;
        if (!TakeAndFree(4096, 2000) || !BeginAndEnd(20))
            return STATUS_NO_MEMORY;
        if (!Print() || !Raise() || !Count() || (rounds == 0 && !Ask()))
            return STATUS_UNSUCCESSFUL;
        rounds++;
        now = KeQueryPerformanceCounter(NULL);
    } while (now.QuadPart < end.QuadPart);
    DbgPrint("%u rounds\n", rounds);
    return STATUS_SUCCESS;
}
