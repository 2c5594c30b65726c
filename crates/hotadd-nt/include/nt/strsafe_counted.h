/* Counted strings that do not run over the end. They need no terminator, so all of the buffer may be text. */
#pragma once
#include "crt.h"
#include "status.h"

NT_BEGIN_C

NT_INLINE NTSTATUS RtlUnicodeStringVPrintf(PUNICODE_STRING to, PCWSTR format, va_list arguments)
{
    size_t size = to->MaximumLength / sizeof(WCHAR);
    int length = _vsnwprintf(to->Buffer, size, format, arguments);

    if (length < 0 || (size_t)length > size) {
        to->Length = (USHORT)(size * sizeof(WCHAR));
        return STATUS_BUFFER_OVERFLOW;
    }
    to->Length = (USHORT)((size_t)length * sizeof(WCHAR));
    return STATUS_SUCCESS;
}

NT_INLINE NTSTATUS RtlUnicodeStringPrintf(PUNICODE_STRING to, PCWSTR format, ...)
{
    NTSTATUS status;
    va_list arguments;

    va_start(arguments, format);
    status = RtlUnicodeStringVPrintf(to, format, arguments);
    va_end(arguments);
    return status;
}

/* The string of a text with a terminator: NULL makes an empty one. */
NT_INLINE NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING to, PCWSTR text)
{
    size_t length = text ? wcsnlen(text, UNICODE_STRING_MAX_CHARS + 1) : 0;

    if (length > UNICODE_STRING_MAX_CHARS)
        return STATUS_INVALID_PARAMETER;
    to->Length = (USHORT)(length * sizeof(WCHAR));
    to->MaximumLength = (USHORT)(text ? to->Length + (length < UNICODE_STRING_MAX_CHARS ? sizeof(WCHAR) : 0) : 0);
    to->Buffer = (PWCH)text;
    return STATUS_SUCCESS;
}

/* Puts `length` bytes behind the first `at`, as many as fit. */
NT_INLINE NTSTATUS NtPutCounted(PUNICODE_STRING to, USHORT at, const WCHAR *from, size_t length)
{
    size_t room = (size_t)(to->MaximumLength & ~1) - at, fits = length < room ? length : room;

    if (to->MaximumLength < at || (!to->Buffer && to->MaximumLength))
        return STATUS_INVALID_PARAMETER;
    if (fits)
        __builtin_memmove((PCHAR)to->Buffer + at, from, fits);
    to->Length = (USHORT)(at + fits);
    return fits < length ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

NT_INLINE NTSTATUS RtlUnicodeStringCopy(PUNICODE_STRING to, PCUNICODE_STRING from)
{
    return NtPutCounted(to, 0, from->Buffer, from->Length);
}

NT_INLINE NTSTATUS RtlUnicodeStringCopyString(PUNICODE_STRING to, PCWSTR from)
{
    return NtPutCounted(to, 0, from, wcslen(from) * sizeof(WCHAR));
}

NT_INLINE NTSTATUS RtlUnicodeStringCbCopyN(PUNICODE_STRING to, PCUNICODE_STRING from, size_t bytes)
{
    return NtPutCounted(to, 0, from->Buffer, bytes < from->Length ? bytes & ~(size_t)1 : from->Length);
}

NT_INLINE NTSTATUS RtlUnicodeStringCat(PUNICODE_STRING to, PCUNICODE_STRING from)
{
    return NtPutCounted(to, to->Length, from->Buffer, from->Length);
}

NT_INLINE NTSTATUS RtlUnicodeStringCatString(PUNICODE_STRING to, PCWSTR from)
{
    return NtPutCounted(to, to->Length, from, wcslen(from) * sizeof(WCHAR));
}

NT_END_C
