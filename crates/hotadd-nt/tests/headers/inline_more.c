/* As inline.c: bits, instructions, checked integers, sized copies, requests and kinds of characters, run. */
#include <ntddk.h>
#include <ntintsafe.h>
#include <intrin.h>
#include <stdlib.h>
#include <wctype.h>
#include <wdmguid.h>
#include <ntstrsafe.h>

extern int printf(const char *format, ...);

static int Failed;
#define CHECK(e) ((e) ? (void)0 : (void)(Failed++, printf("line %d: %s\n", __LINE__, #e)))

static VOID Bits(VOID)
{
    LONG bits[2] = {5, 0};
    LONG64 bits64 = 1;
    ULONG64 high = 0;
    LONG64 high_signed = 0;

    CHECK(_bittest(bits, 0) && !_bittest(bits, 1) && _bittestandset(bits, 2) && !_bittestandset(bits, 33));
    CHECK(bits[1] == 2 && _bittestandreset(bits, 33) && bits[1] == 0 && !_bittestandcomplement(bits, 3));
    CHECK(bits[0] == 13 && !_bittestandset64(&bits64, 40) && bits64 == (1LL << 40 | 1));
    CHECK(__popcnt(0xf0) == 4 && __popcnt64(~0ULL) == 64 && __lzcnt(0) == 32 && __lzcnt64(1) == 63 && __lzcnt16(1) == 15);
    CHECK(_rotl(0x80000001, 1) == 3 && _rotr(3, 1) == 0x80000001 && _rotl(1, 0) == 1 && _rotl8(0x81, 1) == 3);
    CHECK(_rotl64(1ULL << 63, 1) == 1 && _rotr64(1, 1) == 1ULL << 63 && _rotr16(1, 1) == 0x8000);
    CHECK(_byteswap_ulong(0x01020304) == 0x04030201 && _byteswap_ushort(0x0102) == 0x0201);
    CHECK(_umul128(1ULL << 63, 4, &high) == 0 && high == 2 && __umulh(1ULL << 63, 4) == 2);
    CHECK(_mul128(-1, 2, &high_signed) == -2 && high_signed == -1 && __mulh(-1, 2) == -1);
}

static VOID Instructions(VOID)
{
    int info[4] = {0, 0, 0, 0};
    UCHAR bytes[16] = {0};
    ULONG words[4];
    DECLSPEC_ALIGN(16) LONG64 pair[2] = {1, 2};
    LONG64 expected[2] = {1, 3};

    __cpuid(info, 0);
    CHECK(info[0] > 0 && info[1] != 0);
    CHECK(__rdtsc() != 0);
    __stosb(bytes, 7, 16);
    CHECK(bytes[0] == 7 && bytes[15] == 7);
    __stosd(words, 0x01020304, 4);
    __movsb(bytes, (const UCHAR *)words, 4);
    CHECK(words[3] == 0x01020304 && bytes[0] == 4 && bytes[3] == 1 && bytes[4] == 7);
    CHECK(!InterlockedCompareExchange128(pair, 9, 8, expected) && expected[0] == 1 && expected[1] == 2);
    CHECK(InterlockedCompareExchange128(pair, 9, 8, expected) && pair[0] == 8 && pair[1] == 9);
}

static VOID Atomics(VOID)
{
    volatile LONG value = 1;
    volatile SHORT half = -1;
    volatile CHAR byte = 0;
    volatile ULONG number = 5;
    PVOID volatile pointer = NULL;

    CHECK(InterlockedIncrement16(&half) == 0 && InterlockedCompareExchange16(&half, 4, 0) == 0 && half == 4);
    CHECK(InterlockedOr8(&byte, 3) == 0 && InterlockedExchange8(&byte, 1) == 3);
    CHECK(InterlockedExchangeAddAcquire(&value, 2) == 1 && InterlockedAndNoFence(&value, 1) == 3 && value == 1);
    CHECK(InterlockedExchangeSubtract(&number, 2) == 5 && number == 3);
    WriteRelease(&value, -4);
    WritePointerRelease(&pointer, &half);
    CHECK(ReadAcquire(&value) == -4 && ReadRaw(&value) == -4 && ReadULongNoFence(&number) == 3);
    CHECK(ReadPointerAcquire(&pointer) == &half);
}

/* What sources for Microsoft's compiler declare as long. */
static VOID Longs(VOID)
{
    volatile long wide = -1;
    unsigned long index = ~0UL;

    CHECK(InterlockedIncrement(&wide) == 0 && wide == 0 && InterlockedDecrement(&wide) == -1 && wide == -1);
    CHECK(InterlockedCompareExchange(&wide, 7, -1) == -1 && InterlockedExchangeAdd(&wide, -9) == 7 && wide == -2);
    CHECK(InterlockedExchange(&wide, 5) == -2 && _InterlockedOr(&wide, 2) == 5 && InterlockedAnd(&wide, 6) == 7 && wide == 6);
    CHECK(InterlockedXor(&wide, 1) == 6 && InterlockedAdd(&wide, 1) == 8 && InterlockedIncrementNoFence(&wide) == 9);
    CHECK(_BitScanForward(&index, 8) && index == 3 && _BitScanReverse64(&index, 1ULL << 40) && index == 40);
}

static VOID Integers(VOID)
{
    ULONG number = 1;
    USHORT half = 1;
    LONG negative;
    SIZE_T size;
    UINT8 byte;

    CHECK(RtlULongAdd(MAXULONG - 1, 1, &number) == STATUS_SUCCESS && number == MAXULONG);
    CHECK(RtlULongAdd(MAXULONG, 1, &number) == STATUS_INTEGER_OVERFLOW && number == MAXULONG);
    CHECK(RtlULongSub(1, 2, &number) == STATUS_INTEGER_OVERFLOW && RtlULongSub(2, 1, &number) == STATUS_SUCCESS && number == 1);
    CHECK(RtlSizeTMult(1ULL << 63, 2, &size) == STATUS_INTEGER_OVERFLOW && size == MAXSIZE_T);
    CHECK(RtlULongToUShort(0x10000, &half) == STATUS_INTEGER_OVERFLOW && half == 0xffff);
    CHECK(RtlULongToUShort(0xffff, &half) == STATUS_SUCCESS && half == 0xffff);
    CHECK(RtlLongToULong(-1, &number) == STATUS_INTEGER_OVERFLOW && RtlULongToLong(MAXLONG, &negative) == STATUS_SUCCESS);
    CHECK(RtlULongLongToLong(1ULL << 40, &negative) == STATUS_INTEGER_OVERFLOW && negative == -1);
    CHECK(RtlUShortAdd(0xffff, 1, &half) == STATUS_INTEGER_OVERFLOW && RtlIntToUInt8(255, &byte) == STATUS_SUCCESS && byte == 255);
    CHECK(MAXINT64 == 0x7fffffffffffffffLL && MININT64 < 0 && MININT8 == -128 && MAXUINT8 == 255);
}

static VOID Texts(VOID)
{
    char text[6] = "x";
    wchar_t wide[6] = L"x";

    CHECK(strcpy_s(text, 6, "abcde") == 0 && strcmp(text, "abcde") == 0);
    CHECK(strcpy_s(text, 6, "abcdef") == ERANGE && text[0] == 0);
    CHECK(strcat_s(text, 6, "ab") == 0 && strcat_s(text, 6, "cde") == 0 && strcmp(text, "abcde") == 0);
    CHECK(strcat_s(text, 6, "f") == ERANGE && text[0] == 0 && strcpy_s(text, 0, "") == EINVAL);
    CHECK(strncpy_s(text, 6, "abcdefgh", _TRUNCATE) == STRUNCATE && strcmp(text, "abcde") == 0);
    CHECK(strncpy_s(text, 6, "abcdefgh", 2) == 0 && strcmp(text, "ab") == 0 && strcpy_s(text, 6, NULL) == EINVAL);
    CHECK(wcscpy_s(wide, 6, L"ab") == 0 && wcscat_s(wide, 6, L"cd") == 0 && wcsncat_s(wide, 6, L"xyz", 1) == 0);
    CHECK(wcscmp(wide, L"abcdx") == 0 && wcscat_s(wide, 6, L"y") == ERANGE && wide[0] == 0);
    CHECK(memcpy_s(text, 6, "12345", 6) == 0 && text[4] == '5' && memcpy_s(text, 2, "123", 3) == ERANGE && text[1] == 0);
    CHECK(memmove_s(text, 6, NULL, 1) == EINVAL && memcpy_s(text, 6, "", 0) == 0);
    CHECK(isdigit('7') && !isdigit('a') && isxdigit('F') && isspace('\t') && ispunct('!') && !isprint('\n') && isupper('Q'));
    CHECK(iswdigit(L'7') && iswalpha(L'z') && abs(-3) == 3 && _abs64(-3) == 3 && __max(1, 2) == 2);
}

/* RtlUnicodeStringPrintf, which is run by inline.c, calls this. */
int _vsnwprintf(wchar_t *to, size_t count, const wchar_t *format, va_list arguments)
{
    UNREFERENCED_PARAMETER(to);
    UNREFERENCED_PARAMETER(count);
    UNREFERENCED_PARAMETER(format);
    UNREFERENCED_PARAMETER(arguments);
    return -1;
}

static VOID Counted(VOID)
{
    WCHAR room[4];
    UNICODE_STRING text = {0, sizeof(room), room}, source, empty;

    CHECK(RtlUnicodeStringInit(&source, L"ab") == STATUS_SUCCESS && source.Length == 4 && source.MaximumLength == 6);
    CHECK(RtlUnicodeStringInit(&empty, NULL) == STATUS_SUCCESS && empty.Length == 0 && empty.MaximumLength == 0);
    CHECK(RtlUnicodeStringCopy(&text, &source) == STATUS_SUCCESS && text.Length == 4 && room[1] == 'b');
    CHECK(RtlUnicodeStringCatString(&text, L"cde") == STATUS_BUFFER_OVERFLOW && text.Length == 8 && room[3] == 'd');
    CHECK(RtlUnicodeStringCat(&text, &source) == STATUS_BUFFER_OVERFLOW && text.Length == 8);
    CHECK(RtlUnicodeStringCat(&text, &empty) == STATUS_SUCCESS && RtlUnicodeStringCopy(&empty, &source) == STATUS_BUFFER_OVERFLOW);
    CHECK(RtlUnicodeStringCopyString(&text, L"xyz") == STATUS_SUCCESS && text.Length == 6 && room[0] == 'x');
    CHECK(RtlUnicodeStringCbCopyN(&text, &source, 2) == STATUS_SUCCESS && text.Length == 2 && room[0] == 'a');
}

static NTSTATUS Routine(PDEVICE_OBJECT device, PIRP irp, PVOID context)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
    UNREFERENCED_PARAMETER(context);
    return STATUS_SUCCESS;
}

static VOID Cancel(PDEVICE_OBJECT device, PIRP irp)
{
    UNREFERENCED_PARAMETER(device);
    UNREFERENCED_PARAMETER(irp);
}

static VOID Requests(VOID)
{
    static IRP irp;
    static IO_STACK_LOCATION stack[3];

    irp.CurrentLocation = 3;
    irp.Tail.Overlay.CurrentStackLocation = &stack[2];
    stack[2].MajorFunction = IRP_MJ_PNP;
    stack[2].Control = SL_PENDING_RETURNED;
    stack[2].CompletionRoutine = Routine;
    stack[2].Context = &irp;
    stack[1].Context = &stack;
    IoCopyCurrentIrpStackLocationToNext(&irp);
    CHECK(stack[1].MajorFunction == IRP_MJ_PNP && stack[1].Control == 0);
    CHECK(stack[1].CompletionRoutine == NULL && stack[1].Context == &stack);
    IoSetCompletionRoutine(&irp, Routine, &irp, TRUE, FALSE, TRUE);
    CHECK(stack[1].Control == (SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_CANCEL) && stack[1].CompletionRoutine == Routine);
    IoSetNextIrpStackLocation(&irp);
    CHECK(irp.CurrentLocation == 2 && IoGetCurrentIrpStackLocation(&irp) == &stack[1]);
    IoSkipCurrentIrpStackLocation(&irp);
    CHECK(irp.CurrentLocation == 3 && IoGetNextIrpStackLocation(&irp) == &stack[1]);
    CHECK(IoSetCancelRoutine(&irp, Cancel) == NULL && IoSetCancelRoutine(&irp, NULL) == Cancel);
    CHECK(METHOD_FROM_CTL_CODE(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_NEITHER, 0)) == METHOD_NEITHER);
    CHECK(IoGetFunctionCodeFromCtlCode(CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_NEITHER, 0)) == 0x801);
}

int main(void)
{
    Bits();
    Instructions();
    Atomics();
    Longs();
    Integers();
    Texts();
    Counted();
    Requests();
    return Failed;
}
