/* Arithmetic that reports an overflow, and where numbers end. */
#include <ntddk.h>
#include <ntintsafe.h>

EXTERN_C NTSTATUS Size(SIZE_T Count, SIZE_T Each, SIZE_T Header, PULONG Size);
EXTERN_C NTSTATUS Narrow(ULONGLONG Wide, LONG Signed, PUSHORT Short);

C_ASSERT(MAXINT64 == MAXLONGLONG && MAXUINT32 == MAXULONG && MAXUSHORT == 0xffff);

NTSTATUS Size(SIZE_T Count, SIZE_T Each, SIZE_T Header, PULONG Size)
{
    SIZE_T total;
    NTSTATUS status = RtlSizeTMult(Count, Each, &total);

    if (NT_SUCCESS(status))
        status = RtlSizeTAdd(total, Header, &total);
    if (NT_SUCCESS(status))
        status = RtlSizeTToULong(total, Size);
    return status;
}

NTSTATUS Narrow(ULONGLONG Wide, LONG Signed, PUSHORT Short)
{
    ULONG number, other;
    USHORT half;

    if (!NT_SUCCESS(RtlULongLongToULong(Wide, &number)) || !NT_SUCCESS(RtlLongToULong(Signed, &other)) ||
        !NT_SUCCESS(RtlULongAdd(number, other, &number)) || !NT_SUCCESS(RtlULongSub(number, 1, &number)) ||
        !NT_SUCCESS(RtlULongToUShort(number, &half)) || !NT_SUCCESS(RtlUShortMult(half, 2, &half)))
        return STATUS_INTEGER_OVERFLOW;
    *Short = half;
    return STATUS_SUCCESS;
}
