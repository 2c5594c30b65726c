/* Bits: finding, counting, testing, turning; products of 128 bits. */
#pragma once
#include "interlocked.h"
#include "types.h"

NT_BEGIN_C

NT_INLINE UCHAR NtBitScanForward(ULONG *index, ULONG mask)
{
    if (mask)
        *index = (ULONG)__builtin_ctz(mask);
    return mask != 0;
}

NT_INLINE UCHAR NtBitScanReverse(ULONG *index, ULONG mask)
{
    if (mask)
        *index = 31 - (ULONG)__builtin_clz(mask);
    return mask != 0;
}

NT_INLINE UCHAR NtBitScanForward64(ULONG *index, ULONG64 mask)
{
    if (mask)
        *index = (ULONG)__builtin_ctzll(mask);
    return mask != 0;
}

NT_INLINE UCHAR NtBitScanReverse64(ULONG *index, ULONG64 mask)
{
    if (mask)
        *index = 63 - (ULONG)__builtin_clzll(mask);
    return mask != 0;
}

/* Drivers pass the address of a ULONG, or of an unsigned long, which natively has 64 bits. */
#ifndef NT_WINDOWS
#ifdef __cplusplus
extern "C++" {
#define NT_SCAN(name, type)                                                                             \
    NT_INLINE UCHAR NtBitScan##name(unsigned long *index, type mask)                                    \
    {                                                                                                   \
        ULONG at = 0;                                                                                   \
        UCHAR found = NtBitScan##name(&at, mask);                                                       \
                                                                                                        \
        if (found)                                                                                      \
            *index = at;                                                                                \
        return found;                                                                                   \
    }
NT_SCAN(Forward, ULONG)
NT_SCAN(Reverse, ULONG)
NT_SCAN(Forward64, ULONG64)
NT_SCAN(Reverse64, ULONG64)
#undef NT_SCAN
}
#else
/* The lower half is the first, and the upper half of an index is 0. */
#define NT_INDEX(index) \
    (sizeof(*(index)) == 8 ? (void)(*(index) = 0) : (void)0, NT_INDEX_POINTER(index))
#define NT_INDEX_POINTER(index) __builtin_choose_expr(NT_IS_LONG(index), (ULONG *)(ULONG_PTR)(index), (index))
#endif
#endif
#ifndef NT_INDEX
#define NT_INDEX(index) (index)
#endif
#define BitScanForward(index, mask) NtBitScanForward(NT_INDEX(index), mask)
#define BitScanReverse(index, mask) NtBitScanReverse(NT_INDEX(index), mask)
#define BitScanForward64(index, mask) NtBitScanForward64(NT_INDEX(index), mask)
#define BitScanReverse64(index, mask) NtBitScanReverse64(NT_INDEX(index), mask)
#define _BitScanForward(index, mask) NtBitScanForward(NT_INDEX(index), mask)
#define _BitScanReverse(index, mask) NtBitScanReverse(NT_INDEX(index), mask)
#define _BitScanForward64(index, mask) NtBitScanForward64(NT_INDEX(index), mask)
#define _BitScanReverse64(index, mask) NtBitScanReverse64(NT_INDEX(index), mask)

NT_INLINE UCHAR NtBitTest(LONG const *base, LONG bit)
{
    return (base[bit >> 5] & (LONG)(1U << (bit & 31))) != 0;
}

NT_INLINE UCHAR NtBitTestAndSet(LONG *base, LONG bit)
{
    UCHAR was = NtBitTest(base, bit);

    base[bit >> 5] |= (LONG)(1U << (bit & 31));
    return was;
}

NT_INLINE UCHAR NtBitTestAndComplement(LONG *base, LONG bit)
{
    UCHAR was = NtBitTest(base, bit);

    base[bit >> 5] ^= (LONG)(1U << (bit & 31));
    return was;
}

NT_INLINE UCHAR NtBitTestAndReset(LONG *base, LONG bit)
{
    UCHAR was = NtBitTest(base, bit);

    base[bit >> 5] &= ~(LONG)(1U << (bit & 31));
    return was;
}

NT_INLINE UCHAR NtBitTest64(LONG64 const *base, LONG64 bit)
{
    return (base[bit >> 6] & (LONG64)(1ULL << (bit & 63))) != 0;
}

NT_INLINE UCHAR NtBitTestAndSet64(LONG64 *base, LONG64 bit)
{
    UCHAR was = NtBitTest64(base, bit);

    base[bit >> 6] |= (LONG64)(1ULL << (bit & 63));
    return was;
}

NT_INLINE UCHAR NtBitTestAndComplement64(LONG64 *base, LONG64 bit)
{
    UCHAR was = NtBitTest64(base, bit);

    base[bit >> 6] ^= (LONG64)(1ULL << (bit & 63));
    return was;
}

NT_INLINE UCHAR NtBitTestAndReset64(LONG64 *base, LONG64 bit)
{
    UCHAR was = NtBitTest64(base, bit);

    base[bit >> 6] &= ~(LONG64)(1ULL << (bit & 63));
    return was;
}

#define _bittest(base, bit) NtBitTest(base, bit)
#define BitTest(base, bit) NtBitTest(base, bit)
#define _bittestandset(base, bit) NtBitTestAndSet(base, bit)
#define BitTestAndSet(base, bit) NtBitTestAndSet(base, bit)
#define _bittestandreset(base, bit) NtBitTestAndReset(base, bit)
#define BitTestAndReset(base, bit) NtBitTestAndReset(base, bit)
#define _bittestandcomplement(base, bit) NtBitTestAndComplement(base, bit)
#define BitTestAndComplement(base, bit) NtBitTestAndComplement(base, bit)
#define _bittest64(base, bit) NtBitTest64(base, bit)
#define BitTest64(base, bit) NtBitTest64(base, bit)
#define _bittestandset64(base, bit) NtBitTestAndSet64(base, bit)
#define BitTestAndSet64(base, bit) NtBitTestAndSet64(base, bit)
#define _bittestandreset64(base, bit) NtBitTestAndReset64(base, bit)
#define BitTestAndReset64(base, bit) NtBitTestAndReset64(base, bit)
#define _bittestandcomplement64(base, bit) NtBitTestAndComplement64(base, bit)
#define BitTestAndComplement64(base, bit) NtBitTestAndComplement64(base, bit)

#define __popcnt16(n) ((USHORT)__builtin_popcount((USHORT)(n)))
#define __popcnt(n) ((UINT)__builtin_popcount((UINT)(n)))
#define __popcnt64(n) ((ULONG64)__builtin_popcountll(n))
#define PopulationCount64(n) __popcnt64(n)

#define _byteswap_ushort(n) __builtin_bswap16(n)
#define _byteswap_ulong(n) __builtin_bswap32(n)
#define _byteswap_uint64(n) __builtin_bswap64(n)
#define RtlUshortByteSwap(n) __builtin_bswap16(n)
#define RtlUlongByteSwap(n) __builtin_bswap32(n)
#define RtlUlonglongByteSwap(n) __builtin_bswap64(n)

#define NT_ROTATE(name, type, bits)                                                                     \
    NT_INLINE type NtRotateLeft##name(type n, int by)                                                   \
    {                                                                                                   \
        return (type)(n << (by & (bits - 1)) | n >> (-by & (bits - 1)));                                \
    }                                                                                                   \
    NT_INLINE type NtRotateRight##name(type n, int by)                                                  \
    {                                                                                                   \
        return (type)(n >> (by & (bits - 1)) | n << (-by & (bits - 1)));                                \
    }
NT_ROTATE(8, UCHAR, 8)
NT_ROTATE(16, USHORT, 16)
NT_ROTATE(32, ULONG, 32)
NT_ROTATE(64, ULONG64, 64)
#undef NT_ROTATE
#undef _rotl
#undef _rotr
#undef _lrotl
#undef _lrotr
#define _rotl8(n, by) NtRotateLeft8(n, by)
#define _rotr8(n, by) NtRotateRight8(n, by)
#define _rotl16(n, by) NtRotateLeft16(n, by)
#define _rotr16(n, by) NtRotateRight16(n, by)
#define _rotl(n, by) NtRotateLeft32(n, by)
#define _rotr(n, by) NtRotateRight32(n, by)
#define _lrotl(n, by) NtRotateLeft32(n, by)
#define _lrotr(n, by) NtRotateRight32(n, by)
#define _rotl64(n, by) NtRotateLeft64(n, by)
#define _rotr64(n, by) NtRotateRight64(n, by)
#define RotateLeft8 _rotl8
#define RotateLeft16 _rotl16
#define RotateLeft32 _rotl
#define RotateLeft64 _rotl64
#define RotateRight8 _rotr8
#define RotateRight16 _rotr16
#define RotateRight32 _rotr
#define RotateRight64 _rotr64

__extension__ typedef unsigned __int128 NT_UINT128;
__extension__ typedef __int128 NT_INT128;

NT_INLINE ULONG64 NtUnsignedMultiply128(ULONG64 a, ULONG64 b, ULONG64 *high)
{
    NT_UINT128 product = (NT_UINT128)a * b;

    *high = (ULONG64)(product >> 64);
    return (ULONG64)product;
}

NT_INLINE LONG64 NtMultiply128(LONG64 a, LONG64 b, LONG64 *high)
{
    NT_INT128 product = (NT_INT128)a * b;

    *high = (LONG64)(product >> 64);
    return (LONG64)product;
}

#define _umul128(a, b, high) NtUnsignedMultiply128(a, b, high)
#define UnsignedMultiply128(a, b, high) NtUnsignedMultiply128(a, b, high)
#define _mul128(a, b, high) NtMultiply128(a, b, high)
#define Multiply128(a, b, high) NtMultiply128(a, b, high)
#define __umulh(a, b) ((ULONG64)(((NT_UINT128)(ULONG64)(a) * (ULONG64)(b)) >> 64))
#define UnsignedMultiplyHigh(a, b) __umulh(a, b)
#define __mulh(a, b) ((LONG64)(((NT_INT128)(LONG64)(a) * (LONG64)(b)) >> 64))
#define MultiplyHigh(a, b) __mulh(a, b)
#define Int32x32To64(a, b) ((LONGLONG)(LONG)(a) * (LONGLONG)(LONG)(b))
#define UInt32x32To64(a, b) ((ULONGLONG)(ULONG)(a) * (ULONGLONG)(ULONG)(b))
#define Int64ShllMod32(n, by) ((ULONGLONG)(n) << (by))
#define Int64ShraMod32(n, by) ((LONGLONG)(n) >> (by))
#define Int64ShrlMod32(n, by) ((ULONGLONG)(n) >> (by))

NT_END_C
