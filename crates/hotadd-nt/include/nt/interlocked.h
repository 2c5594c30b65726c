/* Atomic operations. All are full barriers, as x86's locked instructions are. */
#pragma once
#include "types.h"

NT_BEGIN_C

#define NT_INTERLOCKED(suffix, type)                                                                    \
    NT_INLINE type InterlockedIncrement##suffix(type volatile *p)                                       \
    {                                                                                                   \
        return __atomic_add_fetch(p, 1, __ATOMIC_SEQ_CST);                                              \
    }                                                                                                   \
    NT_INLINE type InterlockedDecrement##suffix(type volatile *p)                                       \
    {                                                                                                   \
        return __atomic_sub_fetch(p, 1, __ATOMIC_SEQ_CST);                                              \
    }                                                                                                   \
    NT_INLINE type InterlockedExchange##suffix(type volatile *p, type value)                            \
    {                                                                                                   \
        return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);                                         \
    }                                                                                                   \
    NT_INLINE type InterlockedExchangeAdd##suffix(type volatile *p, type value)                         \
    {                                                                                                   \
        return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST);                                          \
    }                                                                                                   \
    NT_INLINE type InterlockedCompareExchange##suffix(type volatile *p, type value, type expected)      \
    {                                                                                                   \
        __atomic_compare_exchange_n(p, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
        return expected;                                                                                \
    }                                                                                                   \
    NT_INLINE type InterlockedAnd##suffix(type volatile *p, type value)                                 \
    {                                                                                                   \
        return __atomic_fetch_and(p, value, __ATOMIC_SEQ_CST);                                          \
    }                                                                                                   \
    NT_INLINE type InterlockedOr##suffix(type volatile *p, type value)                                  \
    {                                                                                                   \
        return __atomic_fetch_or(p, value, __ATOMIC_SEQ_CST);                                           \
    }                                                                                                   \
    NT_INLINE type InterlockedXor##suffix(type volatile *p, type value)                                 \
    {                                                                                                   \
        return __atomic_fetch_xor(p, value, __ATOMIC_SEQ_CST);                                          \
    }                                                                                                   \
    NT_INLINE type InterlockedAdd##suffix(type volatile *p, type value)                                 \
    {                                                                                                   \
        return __atomic_add_fetch(p, value, __ATOMIC_SEQ_CST);                                          \
    }

NT_INTERLOCKED(, LONG)
NT_INTERLOCKED(64, LONG64)
NT_INTERLOCKED(16, SHORT)
NT_INTERLOCKED(8, CHAR)
#undef NT_INTERLOCKED

NT_INLINE PVOID InterlockedExchangePointer(PVOID volatile *p, PVOID value)
{
    return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST);
}

NT_INLINE PVOID InterlockedCompareExchangePointer(PVOID volatile *p, PVOID value, PVOID expected)
{
    __atomic_compare_exchange_n(p, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

/* Microsoft's compiler takes the address of any object pointer here; C and C++ want the cast. */
#define InterlockedExchangePointer(p, value) (InterlockedExchangePointer)((PVOID volatile *)(p), (PVOID)(value))
#define InterlockedCompareExchangePointer(p, value, expected) \
    (InterlockedCompareExchangePointer)((PVOID volatile *)(p), (PVOID)(value), (PVOID)(expected))

/* The whole of 16 bytes, at an address divisible by 16. */
NT_INLINE UCHAR InterlockedCompareExchange128(LONG64 volatile *p, LONG64 high, LONG64 low, LONG64 *expected)
{
    UCHAR equal;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(equal), "+m"(*(LONG64 volatile(*)[2])p), "+a"(expected[0]), "+d"(expected[1])
                     : "b"(low), "c"(high)
                     : "memory");
    return equal;
}

NT_INLINE BOOLEAN InterlockedBitTestAndComplement(LONG volatile *base, LONG bit)
{
    LONG mask = (LONG)(1U << (bit & 31));

    return (__atomic_fetch_xor(base + (bit >> 5), mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

NT_INLINE BOOLEAN InterlockedBitTestAndComplement64(LONG64 volatile *base, LONG64 bit)
{
    LONG64 mask = (LONG64)(1ULL << (bit & 63));

    return (__atomic_fetch_xor(base + (bit >> 6), mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

NT_INLINE BOOLEAN InterlockedBitTestAndSet(LONG volatile *base, LONG bit)
{
    LONG mask = (LONG)(1U << (bit & 31));

    return (__atomic_fetch_or(base + (bit >> 5), mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

NT_INLINE BOOLEAN InterlockedBitTestAndReset(LONG volatile *base, LONG bit)
{
    LONG mask = (LONG)(1U << (bit & 31));

    return (__atomic_fetch_and(base + (bit >> 5), ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

NT_INLINE BOOLEAN InterlockedBitTestAndSet64(LONG64 volatile *base, LONG64 bit)
{
    LONG64 mask = (LONG64)(1ULL << (bit & 63));

    return (__atomic_fetch_or(base + (bit >> 6), mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

NT_INLINE BOOLEAN InterlockedBitTestAndReset64(LONG64 volatile *base, LONG64 bit)
{
    LONG64 mask = (LONG64)(1ULL << (bit & 63));

    return (__atomic_fetch_and(base + (bit >> 6), ~mask, __ATOMIC_SEQ_CST) & mask) != 0;
}

#define InterlockedAndAffinity(p, v) InterlockedAnd64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedOrAffinity(p, v) InterlockedOr64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedXorAffinity(p, v) InterlockedXor64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedIncrementSizeT(p) ((SIZE_T)InterlockedIncrement64((LONG64 volatile *)(p)))
#define InterlockedDecrementSizeT(p) ((SIZE_T)InterlockedDecrement64((LONG64 volatile *)(p)))
#define InterlockedExchangeAddSizeT(p, v) ((SIZE_T)InterlockedExchangeAdd64((LONG64 volatile *)(p), (LONG64)(v)))
#define InterlockedExchangeSubtract(p, v) \
    ((ULONG)InterlockedExchangeAdd((LONG volatile *)(p), -(LONG)(v)))

NT_END_C

#include "interlocked_names.h"
#include "long.h"
