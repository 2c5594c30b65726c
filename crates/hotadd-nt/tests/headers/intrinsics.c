/* What drivers ask the compiler for: instructions, bits, barriers, atomic operations, vectors. */
#include <intrin.h>
#include <ntddk.h>

#pragma intrinsic(_InterlockedIncrement, _BitScanForward64, __cpuid)

EXTERN_C ULONG64 Instructions(PVOID Memory);
EXTERN_C ULONG64 Bits(ULONG64 Number);
EXTERN_C LONG Atomic(volatile LONG *Long, volatile LONG64 *Long64, volatile SHORT *Short, PVOID volatile *Pointer);
EXTERN_C LONG64 Once(volatile LONG *Long, volatile LONG64 *Long64, volatile ULONG *Unsigned, PVOID volatile *Pointer);
EXTERN_C long Long(volatile long *Count, unsigned long Mask);
EXTERN_C VOID Fail(ULONG Why);

ULONG64 Instructions(PVOID Memory)
{
    int info[4];
    unsigned int where;
    ULONG64 time;

    __cpuid(info, 0);
    __cpuidex(info, 7, 0);
    time = __rdtsc() + __rdtscp(&where) + ReadTimeStampCounter();
    __stosb((PUCHAR)Memory, 1, 8);
    __stosd((PULONG)Memory, 1, 2);
    __stosq((PULONG64)Memory, 1, 1);
    __movsb((PUCHAR)Memory, (const UCHAR *)Memory + 8, 8);
    __movsq((PULONG64)Memory, (const ULONG64 *)Memory + 1, 1);
    _mm_pause();
    YieldProcessor();
    _mm_prefetch((const char *)Memory, _MM_HINT_T0);
    PreFetchCacheLine(PF_TEMPORAL_LEVEL_1, Memory);
    PrefetchForWrite(Memory);
    _mm_storeu_si128((__m128i *)Memory, _mm_setzero_si128());
    _mm_mfence();
    _mm_lfence();
    KeMemoryBarrier();
    MemoryBarrier();
    _ReadWriteBarrier();
    _ReadBarrier();
    _WriteBarrier();
    FastFence();
    __faststorefence();
    __nop();
    return time + (ULONG64)info[0] + (ULONG64)_ReturnAddress() + __readcr8() + __readgsdword(0x1a4);
}

ULONG64 Bits(ULONG64 Number)
{
    ULONG index = 0;
    LONG bits = 5;
    LONG64 bits64 = 5, high_signed;
    ULONG64 high;

    if (_BitScanForward64(&index, Number) && _BitScanReverse64(&index, Number) && _BitScanForward(&index, (ULONG)Number) &&
        BitScanReverse(&index, (ULONG)Number))
        Number += index;
    if (_bittest(&bits, 0) && _bittestandset(&bits, 3) && _bittestandreset(&bits, 2) && _bittestandcomplement(&bits, 1) &&
        _bittest64(&bits64, 0) && _bittestandset64(&bits64, 40))
        Number++;
    Number += __popcnt((ULONG)Number) + __popcnt64(Number) + __popcnt16(3) + __lzcnt(1) + __lzcnt64(Number);
    Number += _rotl((ULONG)Number, 3) + _rotr((ULONG)Number, 3) + _rotl64(Number, 3) + _rotr64(Number, 3) + _rotl8(1, 1);
    Number += _byteswap_ulong((ULONG)Number) + _byteswap_uint64(Number) + _byteswap_ushort(1) + RtlUlongByteSwap(1);
    Number += _umul128(Number, Number, &high) + __umulh(Number, Number) + UnsignedMultiplyHigh(Number, high);
    return Number + (ULONG64)_mul128((LONG64)Number, 2, &high_signed) + (ULONG64)Int32x32To64(2, 3) + (ULONG64)high_signed;
}

LONG Atomic(volatile LONG *Long, volatile LONG64 *Long64, volatile SHORT *Short, PVOID volatile *Pointer)
{
    static DECLSPEC_ALIGN(16) LONG64 pair[2];
    LONG64 expected[2] = {0, 0};

    InterlockedIncrementAcquire(Long);
    InterlockedDecrementRelease(Long);
    InterlockedIncrementNoFence(Long);
    InterlockedExchangeNoFence(Long, 1);
    InterlockedExchangeAddNoFence(Long, 1);
    InterlockedCompareExchangeAcquire(Long, 1, 0);
    InterlockedOrNoFence(Long, 1);
    InterlockedXor(Long, 1);
    InterlockedAdd(Long, 1);
    _InterlockedIncrement(Long);
    _InterlockedAnd(Long, 1);
    InterlockedOr64(Long64, 1);
    InterlockedAnd64(Long64, 1);
    InterlockedXor64(Long64, 1);
    InterlockedAdd64(Long64, 1);
    InterlockedIncrementAcquire64(Long64);
    InterlockedCompareExchangeRelease64(Long64, 1, 0);
    InterlockedExchangeAdd64(Long64, 1);
    InterlockedIncrement16(Short);
    InterlockedDecrement16(Short);
    InterlockedCompareExchange16(Short, 1, 0);
    InterlockedCompareExchange128(pair, 1, 2, expected);
    InterlockedExchangePointerNoFence(Pointer, NULL);
    InterlockedCompareExchangePointerAcquire(Pointer, NULL, NULL);
    InterlockedBitTestAndSet(Long, 3);
    InterlockedBitTestAndReset64(Long64, 40);
    InterlockedExchangeSubtract((volatile ULONG *)Long, 1);
    return InterlockedCompareExchangePointer(Pointer, Pointer, NULL) == NULL;
}

LONG64 Once(volatile LONG *Long, volatile LONG64 *Long64, volatile ULONG *Unsigned, PVOID volatile *Pointer)
{
    WriteRaw64(Long64, ReadRaw64(Long64) + ReadNoFence64(Long64) + ReadAcquire64(Long64));
    WriteRelease64(Long64, 1);
    WriteNoFence64(Long64, 1);
    WriteRelease(Long, ReadAcquire(Long) + ReadNoFence(Long) + ReadRaw(Long));
    WriteRaw(Long, 1);
    WriteULongRelease(Unsigned, ReadULongAcquire(Unsigned) + ReadULongNoFence(Unsigned));
    WritePointerRelease(Pointer, ReadPointerAcquire(Pointer));
    WritePointerNoFence(Pointer, ReadPointerNoFence(Pointer));
    return ReadAcquire(Long);
}

/* C's long, as sources for Microsoft's compiler use it. */
long Long(volatile long *Count, unsigned long Mask)
{
    unsigned long index;

    InterlockedIncrement(Count);
    InterlockedExchange(Count, 2);
    _InterlockedCompareExchange(Count, 3, 2);
    if (_BitScanForward(&index, (ULONG)Mask) || _BitScanReverse64(&index, Mask))
        InterlockedExchangeAdd(Count, (LONG)index);
    return InterlockedDecrement(Count);
}

VOID Fail(ULONG Why)
{
    if (Why == 1)
        __fastfail(FAST_FAIL_INVALID_ARG);
    if (Why == 2)
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    __debugbreak();
}
