/*
 * Natively C's long has 64 bits, and a LONG is an int. Sources for Microsoft's compiler also count in a `volatile long`.
 * These forms take such a variable as what it is, all of it.
 */
#pragma once
#include "interlocked.h"

#ifndef NT_WINDOWS

/* Each operation for a long, by a name of its own in C, and as one more form in C++. */
#ifdef __cplusplus
#define NT_LONG_NAME(operation) Interlocked##operation
extern "C++" {
#else
#define NT_LONG_NAME(operation) NtLong##operation
#endif
#define NT_ONE(operation, type)                                                                         \
    NT_INLINE LONG NT_LONG_NAME(operation)(type volatile *p)                                            \
    {                                                                                                   \
        return (LONG)Interlocked##operation##64((LONG64 volatile *)p);                                  \
    }
#define NT_TWO(operation, type)                                                                         \
    NT_INLINE LONG NT_LONG_NAME(operation)(type volatile *p, type value)                                \
    {                                                                                                   \
        return (LONG)Interlocked##operation##64((LONG64 volatile *)p, (LONG64)value);                   \
    }
#define NT_FOR_LONG(type)                                                                               \
    NT_ONE(Increment, type)                                                                             \
    NT_ONE(Decrement, type)                                                                             \
    NT_TWO(Exchange, type)                                                                              \
    NT_TWO(ExchangeAdd, type)                                                                           \
    NT_TWO(And, type)                                                                                   \
    NT_TWO(Or, type)                                                                                    \
    NT_TWO(Xor, type)                                                                                   \
    NT_TWO(Add, type)                                                                                   \
    NT_INLINE LONG NT_LONG_NAME(CompareExchange)(type volatile *p, type value, type expected)           \
    {                                                                                                   \
        return (LONG)InterlockedCompareExchange64((LONG64 volatile *)p, (LONG64)value, (LONG64)expected);\
    }
NT_FOR_LONG(long)
#ifdef __cplusplus
NT_FOR_LONG(unsigned long)
}
#else
#define NT_IS_LONG(p)                                                                                   \
    (__builtin_types_compatible_p(__typeof__(*(p)), long) ||                                            \
     __builtin_types_compatible_p(__typeof__(*(p)), unsigned long))
/* The branch that is not taken must have a right type too. */
#define NT_LONG_POINTER(p) __builtin_choose_expr(NT_IS_LONG(p), (long volatile *)(ULONG_PTR)(p), (long volatile *)0)
#define NT_OTHER_POINTER(p) __builtin_choose_expr(NT_IS_LONG(p), (LONG volatile *)0, (p))
#define NT_CHOOSE(operation, p, ...)                                                                    \
    __builtin_choose_expr(NT_IS_LONG(p), NtLong##operation(NT_LONG_POINTER(p) __VA_ARGS__),             \
                          (Interlocked##operation)(NT_OTHER_POINTER(p) __VA_ARGS__))
#define InterlockedIncrement(p) NT_CHOOSE(Increment, p, )
#define InterlockedDecrement(p) NT_CHOOSE(Decrement, p, )
#define InterlockedExchange(p, v) NT_CHOOSE(Exchange, p, , (LONG)(v))
#define InterlockedExchangeAdd(p, v) NT_CHOOSE(ExchangeAdd, p, , (LONG)(v))
#define InterlockedAnd(p, v) NT_CHOOSE(And, p, , (LONG)(v))
#define InterlockedOr(p, v) NT_CHOOSE(Or, p, , (LONG)(v))
#define InterlockedXor(p, v) NT_CHOOSE(Xor, p, , (LONG)(v))
#define InterlockedAdd(p, v) NT_CHOOSE(Add, p, , (LONG)(v))
#define InterlockedCompareExchange(p, v, expected) NT_CHOOSE(CompareExchange, p, , (LONG)(v), (LONG)(expected))
#endif
#undef NT_ONE
#undef NT_TWO
#undef NT_FOR_LONG
#undef NT_LONG_NAME
#endif
