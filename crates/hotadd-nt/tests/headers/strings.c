/* Strings, bitmaps and printing. */
#include <ntddk.h>
#include <ntstrsafe.h>

DECLARE_CONST_UNICODE_STRING(DeviceName, L"\\Device\\Strings");

extern NTSTATUS Strings(PUNICODE_STRING Path);
extern NTSTATUS Safe(PCSTR Name, ULONG Value);
extern ULONG Bits(VOID);
extern ULONG Prefixed(PCSTR Format, ...);

NTSTATUS Strings(PUNICODE_STRING Path)
{
    static const UNICODE_STRING constant = RTL_CONSTANT_STRING(L"abc");
    DECLARE_UNICODE_STRING_SIZE(buffer, 64);
    UNICODE_STRING upper;
    ANSI_STRING ansi;
    NTSTATUS status;
    ULONG value;

    RtlInitAnsiString(&ansi, "ansi");
    RtlCopyUnicodeString(&buffer, Path);
    status = RtlAppendUnicodeToString(&buffer, L"\\Parameters");
    if (NT_SUCCESS(status))
        status = RtlAppendUnicodeStringToString(&buffer, &constant);
    if (!NT_SUCCESS(status))
        return status;
    if (RtlEqualUnicodeString(&buffer, Path, TRUE) || RtlCompareUnicodeString(&buffer, Path, FALSE) == 0 ||
        RtlPrefixUnicodeString(&DeviceName, &buffer, TRUE))
        return STATUS_OBJECT_NAME_COLLISION;
    status = RtlUnicodeStringToInteger(Path, 10, &value);
    if (NT_SUCCESS(status))
        status = RtlIntegerToUnicodeString(value, 16, &buffer);
    if (NT_SUCCESS(status))
        status = RtlUpcaseUnicodeString(&upper, &buffer, TRUE);
    if (!NT_SUCCESS(status))
        return status;
    RtlFreeUnicodeString(&upper);
    status = RtlUnicodeStringToAnsiString(&ansi, &buffer, TRUE);
    if (NT_SUCCESS(status))
        RtlFreeAnsiString(&ansi);
    return wcslen(buffer.Buffer) + strlen("abc") ? status : STATUS_NO_MATCH;
}

NTSTATUS Safe(PCSTR Name, ULONG Value)
{
    CHAR narrow[32];
    WCHAR wide[32];
    size_t length;
    NTSTATUS status = RtlStringCbPrintfA(narrow, sizeof(narrow), "%s-%lu", Name, Value);

    if (NT_SUCCESS(status))
        status = RtlStringCchPrintfW(wide, RTL_NUMBER_OF(wide), L"%hs", narrow);
    if (NT_SUCCESS(status))
        status = RtlStringCbCopyW(wide, sizeof(wide), L"copy");
    if (NT_SUCCESS(status))
        status = RtlStringCchCatW(wide, RTL_NUMBER_OF(wide), L"cat");
    if (NT_SUCCESS(status))
        status = RtlStringCbCopyA(narrow, sizeof(narrow), "copy");
    if (NT_SUCCESS(status))
        status = RtlStringCchCatA(narrow, RTL_NUMBER_OF(narrow), "cat");
    if (NT_SUCCESS(status))
        status = RtlStringCbLengthW(wide, sizeof(wide), &length);
    return status;
}

ULONG Bits(VOID)
{
    static ULONG buffer[4];
    RTL_BITMAP bitmap;
    ULONG start;

    RtlInitializeBitMap(&bitmap, buffer, 128);
    RtlClearAllBits(&bitmap);
    RtlSetBits(&bitmap, 3, 5);
    RtlSetBit(&bitmap, 70);
    RtlClearBits(&bitmap, 4, 1);
    RtlClearBit(&bitmap, 70);
    start = RtlFindClearBitsAndSet(&bitmap, 2, 0);
    if (start == 0xffffffff || RtlCheckBit(&bitmap, 3) == 0 || !RtlTestBit(&bitmap, 3))
        RtlSetAllBits(&bitmap);
    return RtlNumberOfSetBits(&bitmap) + RtlFindLongestRunClear(&bitmap, &start);
}

ULONG Prefixed(PCSTR Format, ...)
{
    va_list arguments;
    ULONG status;

    va_start(arguments, Format);
    status = vDbgPrintExWithPrefix("strings: ", DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, Format, arguments);
    va_end(arguments);
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "%wZ\n", &DeviceName);
    KdPrint(("%u\n", status));
    KdPrintEx((DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, "%u\n", status));
    return status;
}
