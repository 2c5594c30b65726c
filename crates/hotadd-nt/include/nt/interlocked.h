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

/* Orderings weaker than a full barrier do not exist on x86-64 for these. */
#define InterlockedIncrementAcquire InterlockedIncrement
#define InterlockedIncrementRelease InterlockedIncrement
#define InterlockedIncrementNoFence InterlockedIncrement
#define InterlockedDecrementAcquire InterlockedDecrement
#define InterlockedDecrementRelease InterlockedDecrement
#define InterlockedDecrementNoFence InterlockedDecrement
#define InterlockedExchangeAcquire InterlockedExchange
#define InterlockedExchangeNoFence InterlockedExchange
#define InterlockedCompareExchangeAcquire InterlockedCompareExchange
#define InterlockedCompareExchangeRelease InterlockedCompareExchange
#define InterlockedCompareExchangeNoFence InterlockedCompareExchange
#define InterlockedAndAcquire InterlockedAnd
#define InterlockedOrAcquire InterlockedOr
#define InterlockedOrNoFence InterlockedOr
#define InterlockedAndAffinity(p, v) InterlockedAnd64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedOrAffinity(p, v) InterlockedOr64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedXorAffinity(p, v) InterlockedXor64((LONG64 volatile *)(p), (LONG64)(v))
#define InterlockedIncrementSizeT(p) ((SIZE_T)InterlockedIncrement64((LONG64 volatile *)(p)))
#define InterlockedDecrementSizeT(p) ((SIZE_T)InterlockedDecrement64((LONG64 volatile *)(p)))
#define InterlockedExchangeAddSizeT(p, v) ((SIZE_T)InterlockedExchangeAdd64((LONG64 volatile *)(p), (LONG64)(v)))

#define _InterlockedIncrement InterlockedIncrement
#define _InterlockedDecrement InterlockedDecrement
#define _InterlockedExchange InterlockedExchange
#define _InterlockedExchangeAdd InterlockedExchangeAdd
#define _InterlockedCompareExchange InterlockedCompareExchange
#define _InterlockedAnd InterlockedAnd
#define _InterlockedOr InterlockedOr
#define _InterlockedXor InterlockedXor
#define _InterlockedIncrement64 InterlockedIncrement64
#define _InterlockedDecrement64 InterlockedDecrement64
#define _InterlockedExchange64 InterlockedExchange64
#define _InterlockedExchangeAdd64 InterlockedExchangeAdd64
#define _InterlockedCompareExchange64 InterlockedCompareExchange64
#define _InterlockedAnd64 InterlockedAnd64
#define _InterlockedOr64 InterlockedOr64
#define _InterlockedExchangePointer InterlockedExchangePointer
#define _InterlockedCompareExchangePointer InterlockedCompareExchangePointer
#define _interlockedbittestandset InterlockedBitTestAndSet
#define _interlockedbittestandreset InterlockedBitTestAndReset

NT_END_C
