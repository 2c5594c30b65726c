/*
 * Arithmetic that reports an overflow, and conversions that report a loss: STATUS_INTEGER_OVERFLOW, and a result with
 * all bits set.
 */
#pragma once
#include "ntdef.h"
#include "nt/status.h"

NT_BEGIN_C

#define NT_CHECKED(type, overflows, result) \
    return (overflows) ? (*(result) = (type)~(type)0, STATUS_INTEGER_OVERFLOW) : STATUS_SUCCESS

#define NT_ARITHMETIC(name, type)                                                                       \
    NT_INLINE NTSTATUS Rtl##name##Add(type a, type b, type *result)                                     \
    {                                                                                                   \
        NT_CHECKED(type, __builtin_add_overflow(a, b, result), result);                                 \
    }                                                                                                   \
    NT_INLINE NTSTATUS Rtl##name##Sub(type a, type b, type *result)                                     \
    {                                                                                                   \
        NT_CHECKED(type, __builtin_sub_overflow(a, b, result), result);                                 \
    }                                                                                                   \
    NT_INLINE NTSTATUS Rtl##name##Mult(type a, type b, type *result)                                    \
    {                                                                                                   \
        NT_CHECKED(type, __builtin_mul_overflow(a, b, result), result);                                 \
    }

/* Adding nothing tells whether the value fits. */
#define NT_CONVERT(from, from_type, to, to_type)                                                        \
    NT_INLINE NTSTATUS Rtl##from##To##to(from_type value, to_type *result)                              \
    {                                                                                                   \
        NT_CHECKED(to_type, __builtin_add_overflow(value, (from_type)0, result), result);               \
    }

NT_ARITHMETIC(UInt8, UINT8)
NT_ARITHMETIC(Int8, INT8)
NT_ARITHMETIC(UShort, USHORT)
NT_ARITHMETIC(Short, SHORT)
NT_ARITHMETIC(UInt, UINT)
NT_ARITHMETIC(Int, INT)
NT_ARITHMETIC(ULong, ULONG)
NT_ARITHMETIC(Long, LONG)
NT_ARITHMETIC(ULongLong, ULONGLONG)
NT_ARITHMETIC(LongLong, LONGLONG)
NT_ARITHMETIC(UIntPtr, UINT_PTR)
NT_ARITHMETIC(IntPtr, INT_PTR)
NT_ARITHMETIC(ULongPtr, ULONG_PTR)
NT_ARITHMETIC(LongPtr, LONG_PTR)

#define NT_CONVERT_TO_ALL(from, from_type)                                                             \
    NT_CONVERT(from, from_type, UInt8, UINT8)                                                           \
    NT_CONVERT(from, from_type, Int8, INT8)                                                             \
    NT_CONVERT(from, from_type, UShort, USHORT)                                                         \
    NT_CONVERT(from, from_type, Short, SHORT)                                                           \
    NT_CONVERT(from, from_type, UInt, UINT)                                                             \
    NT_CONVERT(from, from_type, Int, INT)                                                               \
    NT_CONVERT(from, from_type, ULong, ULONG)                                                           \
    NT_CONVERT(from, from_type, Long, LONG)                                                             \
    NT_CONVERT(from, from_type, ULongLong, ULONGLONG)                                                   \
    NT_CONVERT(from, from_type, LongLong, LONGLONG)                                                     \
    NT_CONVERT(from, from_type, UIntPtr, UINT_PTR)                                                      \
    NT_CONVERT(from, from_type, IntPtr, INT_PTR)                                                        \
    NT_CONVERT(from, from_type, ULongPtr, ULONG_PTR)                                                    \
    NT_CONVERT(from, from_type, LongPtr, LONG_PTR)
NT_CONVERT_TO_ALL(UInt8, UINT8)
NT_CONVERT_TO_ALL(Int8, INT8)
NT_CONVERT_TO_ALL(UShort, USHORT)
NT_CONVERT_TO_ALL(Short, SHORT)
NT_CONVERT_TO_ALL(UInt, UINT)
NT_CONVERT_TO_ALL(Int, INT)
NT_CONVERT_TO_ALL(ULong, ULONG)
NT_CONVERT_TO_ALL(Long, LONG)
NT_CONVERT_TO_ALL(ULongLong, ULONGLONG)
NT_CONVERT_TO_ALL(LongLong, LONGLONG)
NT_CONVERT_TO_ALL(UIntPtr, UINT_PTR)
NT_CONVERT_TO_ALL(IntPtr, INT_PTR)
NT_CONVERT_TO_ALL(ULongPtr, ULONG_PTR)
NT_CONVERT_TO_ALL(LongPtr, LONG_PTR)
#undef NT_ARITHMETIC
#undef NT_CONVERT
#undef NT_CONVERT_TO_ALL
#undef NT_CHECKED

#define RtlSizeTAdd RtlULongPtrAdd
#define RtlSizeTSub RtlULongPtrSub
#define RtlSizeTMult RtlULongPtrMult
#define RtlSIZETAdd RtlULongPtrAdd
#define RtlSIZETSub RtlULongPtrSub
#define RtlSIZETMult RtlULongPtrMult
#define RtlSSIZETAdd RtlLongPtrAdd
#define RtlSSIZETSub RtlLongPtrSub
#define RtlSSIZETMult RtlLongPtrMult
#define RtlSSizeTAdd RtlLongPtrAdd
#define RtlSSizeTSub RtlLongPtrSub
#define RtlSSizeTMult RtlLongPtrMult
#define RtlByteAdd RtlUInt8Add
#define RtlByteSub RtlUInt8Sub
#define RtlByteMult RtlUInt8Mult
#define RtlUInt16Add RtlUShortAdd
#define RtlUInt16Sub RtlUShortSub
#define RtlUInt16Mult RtlUShortMult
#define RtlInt16Add RtlShortAdd
#define RtlInt16Sub RtlShortSub
#define RtlInt16Mult RtlShortMult
#define RtlUInt32Add RtlUIntAdd
#define RtlUInt32Sub RtlUIntSub
#define RtlUInt32Mult RtlUIntMult
#define RtlInt32Add RtlIntAdd
#define RtlInt32Sub RtlIntSub
#define RtlInt32Mult RtlIntMult
#define RtlWordAdd RtlUShortAdd
#define RtlWordSub RtlUShortSub
#define RtlWordMult RtlUShortMult
#define RtlDWordAdd RtlULongAdd
#define RtlDWordSub RtlULongSub
#define RtlDWordMult RtlULongMult
#define RtlDWordPtrAdd RtlULongPtrAdd
#define RtlDWordPtrSub RtlULongPtrSub
#define RtlDWordPtrMult RtlULongPtrMult
#define RtlUInt64Add RtlULongLongAdd
#define RtlUInt64Sub RtlULongLongSub
#define RtlUInt64Mult RtlULongLongMult
#define RtlInt64Add RtlLongLongAdd
#define RtlInt64Sub RtlLongLongSub
#define RtlInt64Mult RtlLongLongMult
#define RtlULong64Add RtlULongLongAdd
#define RtlULong64Sub RtlULongLongSub
#define RtlULong64Mult RtlULongLongMult
#define RtlLong64Add RtlLongLongAdd
#define RtlLong64Sub RtlLongLongSub
#define RtlLong64Mult RtlLongLongMult
#define RtlDWordLongAdd RtlULongLongAdd
#define RtlDWordLongSub RtlULongLongSub
#define RtlDWordLongMult RtlULongLongMult

#define RtlSizeTToUInt8 RtlULongPtrToUInt8
#define RtlUInt8ToSizeT RtlUInt8ToULongPtr
#define RtlSizeTToInt8 RtlULongPtrToInt8
#define RtlInt8ToSizeT RtlInt8ToULongPtr
#define RtlSizeTToUShort RtlULongPtrToUShort
#define RtlUShortToSizeT RtlUShortToULongPtr
#define RtlSizeTToShort RtlULongPtrToShort
#define RtlShortToSizeT RtlShortToULongPtr
#define RtlSizeTToUInt RtlULongPtrToUInt
#define RtlUIntToSizeT RtlUIntToULongPtr
#define RtlSizeTToInt RtlULongPtrToInt
#define RtlIntToSizeT RtlIntToULongPtr
#define RtlSizeTToULong RtlULongPtrToULong
#define RtlULongToSizeT RtlULongToULongPtr
#define RtlSizeTToLong RtlULongPtrToLong
#define RtlLongToSizeT RtlLongToULongPtr
#define RtlSizeTToULongLong RtlULongPtrToULongLong
#define RtlULongLongToSizeT RtlULongLongToULongPtr
#define RtlSizeTToLongLong RtlULongPtrToLongLong
#define RtlLongLongToSizeT RtlLongLongToULongPtr
#define RtlSizeTToUIntPtr RtlULongPtrToUIntPtr
#define RtlUIntPtrToSizeT RtlUIntPtrToULongPtr
#define RtlSizeTToIntPtr RtlULongPtrToIntPtr
#define RtlIntPtrToSizeT RtlIntPtrToULongPtr
#define RtlSizeTToLongPtr RtlULongPtrToLongPtr
#define RtlLongPtrToSizeT RtlLongPtrToULongPtr
#define RtlSSizeTToUInt8 RtlLongPtrToUInt8
#define RtlUInt8ToSSizeT RtlUInt8ToLongPtr
#define RtlSSizeTToInt8 RtlLongPtrToInt8
#define RtlInt8ToSSizeT RtlInt8ToLongPtr
#define RtlSSizeTToUShort RtlLongPtrToUShort
#define RtlUShortToSSizeT RtlUShortToLongPtr
#define RtlSSizeTToShort RtlLongPtrToShort
#define RtlShortToSSizeT RtlShortToLongPtr
#define RtlSSizeTToUInt RtlLongPtrToUInt
#define RtlUIntToSSizeT RtlUIntToLongPtr
#define RtlSSizeTToInt RtlLongPtrToInt
#define RtlIntToSSizeT RtlIntToLongPtr
#define RtlSSizeTToULong RtlLongPtrToULong
#define RtlULongToSSizeT RtlULongToLongPtr
#define RtlSSizeTToLong RtlLongPtrToLong
#define RtlLongToSSizeT RtlLongToLongPtr
#define RtlSSizeTToULongLong RtlLongPtrToULongLong
#define RtlULongLongToSSizeT RtlULongLongToLongPtr
#define RtlSSizeTToLongLong RtlLongPtrToLongLong
#define RtlLongLongToSSizeT RtlLongLongToLongPtr
#define RtlSSizeTToUIntPtr RtlLongPtrToUIntPtr
#define RtlUIntPtrToSSizeT RtlUIntPtrToLongPtr
#define RtlSSizeTToIntPtr RtlLongPtrToIntPtr
#define RtlIntPtrToSSizeT RtlIntPtrToLongPtr
#define RtlSSizeTToULongPtr RtlLongPtrToULongPtr
#define RtlULongPtrToSSizeT RtlULongPtrToLongPtr
#define RtlByteToInt8 RtlUInt8ToInt8
#define RtlInt8ToByte RtlInt8ToUInt8
#define RtlByteToUShort RtlUInt8ToUShort
#define RtlUShortToByte RtlUShortToUInt8
#define RtlByteToShort RtlUInt8ToShort
#define RtlShortToByte RtlShortToUInt8
#define RtlByteToUInt RtlUInt8ToUInt
#define RtlUIntToByte RtlUIntToUInt8
#define RtlByteToInt RtlUInt8ToInt
#define RtlIntToByte RtlIntToUInt8
#define RtlByteToULong RtlUInt8ToULong
#define RtlULongToByte RtlULongToUInt8
#define RtlByteToLong RtlUInt8ToLong
#define RtlLongToByte RtlLongToUInt8
#define RtlByteToULongLong RtlUInt8ToULongLong
#define RtlULongLongToByte RtlULongLongToUInt8
#define RtlByteToLongLong RtlUInt8ToLongLong
#define RtlLongLongToByte RtlLongLongToUInt8
#define RtlByteToUIntPtr RtlUInt8ToUIntPtr
#define RtlUIntPtrToByte RtlUIntPtrToUInt8
#define RtlByteToIntPtr RtlUInt8ToIntPtr
#define RtlIntPtrToByte RtlIntPtrToUInt8
#define RtlByteToULongPtr RtlUInt8ToULongPtr
#define RtlULongPtrToByte RtlULongPtrToUInt8
#define RtlByteToLongPtr RtlUInt8ToLongPtr
#define RtlLongPtrToByte RtlLongPtrToUInt8
#define RtlUInt32ToUInt8 RtlUIntToUInt8
#define RtlUInt8ToUInt32 RtlUInt8ToUInt
#define RtlUInt32ToInt8 RtlUIntToInt8
#define RtlInt8ToUInt32 RtlInt8ToUInt
#define RtlUInt32ToUShort RtlUIntToUShort
#define RtlUShortToUInt32 RtlUShortToUInt
#define RtlUInt32ToShort RtlUIntToShort
#define RtlShortToUInt32 RtlShortToUInt
#define RtlUInt32ToInt RtlUIntToInt
#define RtlIntToUInt32 RtlIntToUInt
#define RtlUInt32ToULong RtlUIntToULong
#define RtlULongToUInt32 RtlULongToUInt
#define RtlUInt32ToLong RtlUIntToLong
#define RtlLongToUInt32 RtlLongToUInt
#define RtlUInt32ToULongLong RtlUIntToULongLong
#define RtlULongLongToUInt32 RtlULongLongToUInt
#define RtlUInt32ToLongLong RtlUIntToLongLong
#define RtlLongLongToUInt32 RtlLongLongToUInt
#define RtlUInt32ToUIntPtr RtlUIntToUIntPtr
#define RtlUIntPtrToUInt32 RtlUIntPtrToUInt
#define RtlUInt32ToIntPtr RtlUIntToIntPtr
#define RtlIntPtrToUInt32 RtlIntPtrToUInt
#define RtlUInt32ToULongPtr RtlUIntToULongPtr
#define RtlULongPtrToUInt32 RtlULongPtrToUInt
#define RtlUInt32ToLongPtr RtlUIntToLongPtr
#define RtlLongPtrToUInt32 RtlLongPtrToUInt
#define RtlDWordToUInt8 RtlULongToUInt8
#define RtlUInt8ToDWord RtlUInt8ToULong
#define RtlDWordToInt8 RtlULongToInt8
#define RtlInt8ToDWord RtlInt8ToULong
#define RtlDWordToUShort RtlULongToUShort
#define RtlUShortToDWord RtlUShortToULong
#define RtlDWordToShort RtlULongToShort
#define RtlShortToDWord RtlShortToULong
#define RtlDWordToUInt RtlULongToUInt
#define RtlUIntToDWord RtlUIntToULong
#define RtlDWordToInt RtlULongToInt
#define RtlIntToDWord RtlIntToULong
#define RtlDWordToLong RtlULongToLong
#define RtlLongToDWord RtlLongToULong
#define RtlDWordToULongLong RtlULongToULongLong
#define RtlULongLongToDWord RtlULongLongToULong
#define RtlDWordToLongLong RtlULongToLongLong
#define RtlLongLongToDWord RtlLongLongToULong
#define RtlDWordToUIntPtr RtlULongToUIntPtr
#define RtlUIntPtrToDWord RtlUIntPtrToULong
#define RtlDWordToIntPtr RtlULongToIntPtr
#define RtlIntPtrToDWord RtlIntPtrToULong
#define RtlDWordToULongPtr RtlULongToULongPtr
#define RtlULongPtrToDWord RtlULongPtrToULong
#define RtlDWordToLongPtr RtlULongToLongPtr
#define RtlLongPtrToDWord RtlLongPtrToULong
#define RtlUInt64ToUInt8 RtlULongLongToUInt8
#define RtlUInt8ToUInt64 RtlUInt8ToULongLong
#define RtlUInt64ToInt8 RtlULongLongToInt8
#define RtlInt8ToUInt64 RtlInt8ToULongLong
#define RtlUInt64ToUShort RtlULongLongToUShort
#define RtlUShortToUInt64 RtlUShortToULongLong
#define RtlUInt64ToShort RtlULongLongToShort
#define RtlShortToUInt64 RtlShortToULongLong
#define RtlUInt64ToUInt RtlULongLongToUInt
#define RtlUIntToUInt64 RtlUIntToULongLong
#define RtlUInt64ToInt RtlULongLongToInt
#define RtlIntToUInt64 RtlIntToULongLong
#define RtlUInt64ToULong RtlULongLongToULong
#define RtlULongToUInt64 RtlULongToULongLong
#define RtlUInt64ToLong RtlULongLongToLong
#define RtlLongToUInt64 RtlLongToULongLong
#define RtlUInt64ToLongLong RtlULongLongToLongLong
#define RtlLongLongToUInt64 RtlLongLongToULongLong
#define RtlUInt64ToUIntPtr RtlULongLongToUIntPtr
#define RtlUIntPtrToUInt64 RtlUIntPtrToULongLong
#define RtlUInt64ToIntPtr RtlULongLongToIntPtr
#define RtlIntPtrToUInt64 RtlIntPtrToULongLong
#define RtlUInt64ToULongPtr RtlULongLongToULongPtr
#define RtlULongPtrToUInt64 RtlULongPtrToULongLong
#define RtlUInt64ToLongPtr RtlULongLongToLongPtr
#define RtlLongPtrToUInt64 RtlLongPtrToULongLong
#define RtlInt64ToUInt8 RtlLongLongToUInt8
#define RtlUInt8ToInt64 RtlUInt8ToLongLong
#define RtlInt64ToInt8 RtlLongLongToInt8
#define RtlInt8ToInt64 RtlInt8ToLongLong
#define RtlInt64ToUShort RtlLongLongToUShort
#define RtlUShortToInt64 RtlUShortToLongLong
#define RtlInt64ToShort RtlLongLongToShort
#define RtlShortToInt64 RtlShortToLongLong
#define RtlInt64ToUInt RtlLongLongToUInt
#define RtlUIntToInt64 RtlUIntToLongLong
#define RtlInt64ToInt RtlLongLongToInt
#define RtlIntToInt64 RtlIntToLongLong
#define RtlInt64ToULong RtlLongLongToULong
#define RtlULongToInt64 RtlULongToLongLong
#define RtlInt64ToLong RtlLongLongToLong
#define RtlLongToInt64 RtlLongToLongLong
#define RtlInt64ToULongLong RtlLongLongToULongLong
#define RtlULongLongToInt64 RtlULongLongToLongLong
#define RtlInt64ToUIntPtr RtlLongLongToUIntPtr
#define RtlUIntPtrToInt64 RtlUIntPtrToLongLong
#define RtlInt64ToIntPtr RtlLongLongToIntPtr
#define RtlIntPtrToInt64 RtlIntPtrToLongLong
#define RtlInt64ToULongPtr RtlLongLongToULongPtr
#define RtlULongPtrToInt64 RtlULongPtrToLongLong
#define RtlInt64ToLongPtr RtlLongLongToLongPtr
#define RtlLongPtrToInt64 RtlLongPtrToLongLong

NT_END_C
