/* What these headers define themselves, run: each check that fails is printed, and the exit status is their number. */
#include <ntddk.h>
#include <ntstrsafe.h>

/* This program stands on the C library of this machine; the host of a driver provides these two. */
extern int printf(const char *format, ...);
extern int vsprintf_bounded(char *to, size_t count, const char *format, va_list arguments) __asm__("vsnprintf");

int _vsnprintf(char *to, size_t count, const char *format, va_list arguments)
{
    char all[256];
    int length = vsprintf_bounded(all, sizeof(all), format, arguments);

    /* Microsoft's: no terminator when full, -1 when cut. */
    memcpy(to, all, length < (int)count ? (size_t)length + 1 : count);
    return length > (int)count ? -1 : length;
}

int _vsnwprintf(wchar_t *to, size_t count, const wchar_t *format, va_list arguments)
{
    char narrow[64], text[64];
    size_t i;
    int length;

    for (i = 0; i == 0 || format[i - 1]; i++)
        narrow[i] = (char)format[i];
    length = _vsnprintf(text, count < sizeof(text) ? count : sizeof(text), narrow, arguments);
    for (i = 0; i < count && (length < 0 || i <= (size_t)length); i++)
        to[i] = (wchar_t)text[i];
    return length;
}

PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    static UCHAR memory[4096] DECLSPEC_ALIGN(16);

    UNREFERENCED_PARAMETER(PoolType);
    UNREFERENCED_PARAMETER(Tag);
    memset(memory, 0x55, sizeof(memory));
    return NumberOfBytes <= sizeof(memory) ? memory : NULL;
}

/* Only for an MDL that is not mapped yet, of which there is none here. */
PVOID MmMapLockedPagesSpecifyCache(PMDL Mdl, KPROCESSOR_MODE Mode, MEMORY_CACHING_TYPE Type, PVOID Address,
                                   ULONG BugCheck, ULONG Priority)
{
    UNREFERENCED_PARAMETER(Mdl);
    UNREFERENCED_PARAMETER(Mode);
    UNREFERENCED_PARAMETER(Type);
    UNREFERENCED_PARAMETER(BugCheck);
    UNREFERENCED_PARAMETER(Priority);
    return Address;
}

static int Failed;
#define CHECK(e) ((e) ? (void)0 : (void)(Failed++, printf("line %d: %s\n", __LINE__, #e)))

static VOID Lists(VOID)
{
    LIST_ENTRY head, a, b, c;

    InitializeListHead(&head);
    CHECK(IsListEmpty(&head));
    InsertTailList(&head, &b);
    InsertTailList(&head, &c);
    InsertHeadList(&head, &a);
    CHECK(head.Flink == &a && a.Flink == &b && b.Flink == &c && c.Flink == &head);
    CHECK(head.Blink == &c && c.Blink == &b && b.Blink == &a && a.Blink == &head);
    CHECK(!RemoveEntryList(&b));
    CHECK(RemoveTailList(&head) == &c);
    CHECK(RemoveHeadList(&head) == &a && IsListEmpty(&head));
    InsertTailList(&head, &a);
    InitializeListHead(&b);
    InsertTailList(&b, &c);
    AppendTailList(&head, &b);
    CHECK(a.Flink == &b && b.Flink == &c && c.Flink == &head && head.Blink == &c && b.Blink == &a);
    CHECK(RemoveHeadList(&head) == &a && !RemoveEntryList(&b) && RemoveEntryList(&c));
}

static VOID Atomics(VOID)
{
    volatile LONG value = 5;
    volatile LONG64 wide = 1;
    volatile LONG bits[2] = {0, 0};
    PVOID volatile pointer = NULL;
    ULONG index = 99;

    CHECK(InterlockedIncrement(&value) == 6 && InterlockedDecrement(&value) == 5);
    CHECK(InterlockedExchange(&value, 7) == 5 && InterlockedExchangeAdd(&value, 3) == 7 && value == 10);
    CHECK(InterlockedCompareExchange(&value, 1, 9) == 10 && value == 10);
    CHECK(InterlockedCompareExchange(&value, 1, 10) == 10 && value == 1);
    CHECK(InterlockedOr(&value, 6) == 1 && InterlockedAnd(&value, 3) == 7 && InterlockedXor(&value, 1) == 3);
    CHECK(value == 2 && InterlockedAdd(&value, 2) == 4);
    CHECK(InterlockedIncrement64(&wide) == 2 && InterlockedCompareExchange64(&wide, 1LL << 40, 2) == 2);
    CHECK(wide == 1LL << 40);
    CHECK(InterlockedExchangePointer(&pointer, &index) == NULL);
    CHECK(InterlockedCompareExchangePointer(&pointer, NULL, &index) == &index && pointer == NULL);
    CHECK(!InterlockedBitTestAndSet(bits, 33) && InterlockedBitTestAndSet(bits, 33) && bits[1] == 2);
    CHECK(InterlockedBitTestAndReset(bits, 33) && !InterlockedBitTestAndReset(bits, 33) && bits[1] == 0);
    CHECK(BitScanForward(&index, 0x50) && index == 4 && BitScanReverse(&index, 0x50) && index == 6);
    CHECK(BitScanForward64(&index, 1ULL << 40) && index == 40 && !BitScanReverse64(&index, 0) && index == 40);
}

static VOID Narrow(VOID)
{
    CHAR text[6];
    size_t length = 77;

    CHECK(RtlStringCchCopyA(text, 6, "abcde") == STATUS_SUCCESS && strcmp(text, "abcde") == 0);
    CHECK(RtlStringCchCopyA(text, 6, "abcdef") == STATUS_BUFFER_OVERFLOW && strcmp(text, "abcde") == 0);
    CHECK(RtlStringCchCopyA(text, 0, "a") == STATUS_INVALID_PARAMETER && strcmp(text, "abcde") == 0);
    CHECK(RtlStringCbCopyNA(text, 6, "abcdef", 2) == STATUS_SUCCESS && strcmp(text, "ab") == 0);
    CHECK(RtlStringCchCatA(text, 6, "cd") == STATUS_SUCCESS && strcmp(text, "abcd") == 0);
    CHECK(RtlStringCchCatA(text, 6, "ef") == STATUS_BUFFER_OVERFLOW && strcmp(text, "abcde") == 0);
    CHECK(RtlStringCchLengthA(text, 6, &length) == STATUS_SUCCESS && length == 5);
    CHECK(RtlStringCchLengthA(text, 5, &length) == STATUS_INVALID_PARAMETER && length == 0);
    CHECK(RtlStringCchCatA(text, 5, "x") == STATUS_INVALID_PARAMETER);
    CHECK(RtlStringCbPrintfA(text, 6, "%d", 1234) == STATUS_SUCCESS && strcmp(text, "1234") == 0);
    CHECK(RtlStringCbPrintfA(text, 6, "%d", 12345) == STATUS_SUCCESS && strcmp(text, "12345") == 0);
    CHECK(RtlStringCbPrintfA(text, 6, "%d", 123456) == STATUS_BUFFER_OVERFLOW && strcmp(text, "12345") == 0);
    CHECK(RtlStringCbPrintfA(text, (size_t)-1, "x") == STATUS_INVALID_PARAMETER);
}

static VOID Wide(VOID)
{
    WCHAR text[6];
    UNICODE_STRING counted;
    size_t length;

    CHECK(wcslen(L"") == 0 && wcslen(L"abc") == 3 && wcscmp(L"a", L"b") < 0 && wcscmp(L"b", L"a") > 0);
    CHECK(wcsncmp(L"abx", L"aby", 2) == 0 && wcscmp(L"ab", L"a") > 0);
    CHECK(*wcschr(L"abc", 'c') == 'c' && !wcschr(L"abc", 'd') && *wcschr(L"abc", 0) == 0);
    CHECK(wcslen(wcsrchr(L"\\a\\b", '\\')) == 2 && wcslen(wcsstr(L"aabc", L"abc")) == 3 && !wcsstr(L"ab", L"abc"));
    CHECK(RtlStringCbCopyW(text, sizeof(text), L"abcdef") == STATUS_BUFFER_OVERFLOW && wcscmp(text, L"abcde") == 0);
    CHECK(RtlStringCbCopyW(text, 1, L"") == STATUS_INVALID_PARAMETER);
    CHECK(RtlStringCbLengthW(text, sizeof(text), &length) == STATUS_SUCCESS && length == 10);
    CHECK(RtlStringCbCopyNW(text, sizeof(text), L"abcdef", 4) == STATUS_SUCCESS && wcscmp(text, L"ab") == 0);
    CHECK(RtlStringCbCatW(text, sizeof(text), L"cd") == STATUS_SUCCESS && wcscmp(text, L"abcd") == 0);
    CHECK(RtlStringCchPrintfW(text, 6, L"%d", 123456) == STATUS_BUFFER_OVERFLOW && wcscmp(text, L"12345") == 0);
    CHECK(swprintf(text, L"%d", 123) == 3 && wcscmp(text, L"123") == 0);
    RtlInitEmptyUnicodeString(&counted, text, sizeof(text));
    CHECK(RtlUnicodeStringPrintf(&counted, L"%d", 123456) == STATUS_SUCCESS && counted.Length == 12);
    CHECK(RtlUnicodeStringPrintf(&counted, L"%d", 1234567) == STATUS_BUFFER_OVERFLOW && counted.Length == 12);
    wcscpy(text, L"ab");
    wcscat(text, L"cd");
    wcsncpy(text, L"x", 2);
    wcsncat(text, L"yz", 1);
    CHECK(wcscmp(text, L"xy") == 0 && wcsnlen(text, 1) == 1 && wcsnlen(text, 9) == 2);
    text[1] = 0;
    CHECK(text[0] == 'x' && text[1] == 0 && text[2] == 0 && text[3] == 'd' && text[4] == 0);
}

static VOID Others(VOID)
{
    UNICODE_STRING constant = RTL_CONSTANT_STRING(L"abc");
    PUCHAR zero = (PUCHAR)ExAllocatePoolZero(NonPagedPoolNx, 16, 'tset');
    UCHAR secret[4] = {1, 2, 3, 4};
    MDL mdl;

    CHECK(constant.Length == 6 && constant.MaximumLength == 8 && wcscmp(constant.Buffer, L"abc") == 0);
    CHECK(zero[0] == 0 && zero[15] == 0 && zero[16] == 0x55 && !ExAllocatePoolZero(NonPagedPoolNx, 1 << 20, 'tset'));
    RtlSecureZeroMemory(secret, sizeof(secret));
    CHECK(secret[0] == 0 && secret[3] == 0);
    CHECK(BYTES_TO_PAGES(4097) == 2 && ROUND_TO_PAGES(1) == 4096 && ADDRESS_AND_SIZE_TO_SPAN_PAGES(4095, 2) == 2);
    CHECK(ALIGN_UP_BY(17, 16) == 32 && ALIGN_DOWN_BY(17, 16) == 16);
    CHECK(CTL_CODE(0x22, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS) == 0x222000);
    CHECK(NT_SUCCESS(STATUS_SUCCESS) && NT_SUCCESS(STATUS_OBJECT_NAME_EXISTS) && !NT_SUCCESS(STATUS_BUFFER_OVERFLOW));
    CHECK(NT_ERROR(STATUS_NO_MEMORY) && !NT_ERROR(STATUS_BUFFER_OVERFLOW) && NT_WARNING(STATUS_BUFFER_OVERFLOW));
    CHECK(LOWORD(0x12345678) == 0x5678 && HIWORD(0x12345678) == 0x1234);
    mdl.MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
    mdl.MappedSystemVa = secret;
    CHECK(MmGetSystemAddressForMdlSafe(&mdl, NormalPagePriority) == secret);
}

int main(VOID)
{
    Lists();
    Atomics();
    Narrow();
    Wide();
    Others();
    return Failed;
}
