/*
 * Integers by size, as on Windows: the 64-bit ones are long long. int8_t is signed char, so a driver that reads this
 * file cannot have `typedef CHAR int8_t` too, which is an error on Windows as well. No other header reads this file
 * but inttypes.h, so a driver that reads neither can define these names as it likes.
 */
#pragma once
#if defined(__GLIBCXX__) && !defined(_WIN32)
#include_next <stdint.h>
#else

/* If something else reads the C library's headers later, these keep their types. */
#ifndef _BITS_STDINT_INTN_H
#define _BITS_STDINT_INTN_H 1
typedef signed char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long long int64_t;
#endif
#ifndef _BITS_STDINT_UINTN_H
#define _BITS_STDINT_UINTN_H 1
typedef unsigned char uint8_t;
typedef unsigned short uint16_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
#endif
typedef signed char int_least8_t, int_fast8_t;
typedef short int_least16_t;
typedef int int_least32_t, int_fast16_t, int_fast32_t;
typedef long long int_least64_t, int_fast64_t;
typedef unsigned char uint_least8_t, uint_fast8_t;
typedef unsigned short uint_least16_t;
typedef unsigned int uint_least32_t, uint_fast16_t, uint_fast32_t;
typedef unsigned long long uint_least64_t, uint_fast64_t;
typedef long long intmax_t;
typedef unsigned long long uintmax_t;
#ifndef __intptr_t_defined
#define __intptr_t_defined
typedef long long intptr_t;
#endif
typedef unsigned long long uintptr_t;

#define INT8_MIN (-127 - 1)
#define INT16_MIN (-32767 - 1)
#define INT32_MIN (-2147483647 - 1)
#define INT64_MIN (-0x7fffffffffffffffLL - 1)
#define INT8_MAX 127
#define INT16_MAX 32767
#define INT32_MAX 2147483647
#define INT64_MAX 0x7fffffffffffffffLL
#define UINT8_MAX 0xff
#define UINT16_MAX 0xffff
#define UINT32_MAX 0xffffffffU
#define UINT64_MAX 0xffffffffffffffffULL
#define INTPTR_MIN INT64_MIN
#define INTPTR_MAX INT64_MAX
#define UINTPTR_MAX UINT64_MAX
#define INTMAX_MIN INT64_MIN
#define INTMAX_MAX INT64_MAX
#define UINTMAX_MAX UINT64_MAX
#define PTRDIFF_MIN INT64_MIN
#define PTRDIFF_MAX INT64_MAX
#ifndef SIZE_MAX
#define SIZE_MAX UINT64_MAX
#endif
#ifndef WCHAR_MAX
#define WCHAR_MIN 0
#define WCHAR_MAX 0xffff
#endif

#define INT8_C(n) (n)
#define INT16_C(n) (n)
#define INT32_C(n) (n)
#define INT64_C(n) n##LL
#define UINT8_C(n) (n)
#define UINT16_C(n) (n)
#define UINT32_C(n) n##U
#define UINT64_C(n) n##ULL
#define INTMAX_C(n) n##LL
#define UINTMAX_C(n) n##ULL
#endif
