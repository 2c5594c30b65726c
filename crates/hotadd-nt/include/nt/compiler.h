/* What the compiler must know: calling conventions, declspecs, inlining. */
#pragma once

#if !defined(__x86_64__) || !(defined(__GNUC__) || defined(__clang__))
#error "these headers are for gcc and clang on x86-64"
#endif

/*
 * A .sys, built by clang for x86_64-pc-windows-msvc. That compiler has Microsoft's keywords, conventions and types
 * itself. Without it, these headers imitate them for a native driver.
 */
#ifdef _WIN32
#define NT_WINDOWS 1
#endif

/* Both belong to the compiler, not to the C library. */
#include <stdarg.h>
#include <stddef.h>

#ifdef __cplusplus
#define NT_BEGIN_C extern "C" {
#define NT_END_C }
#define NT_NOTHROW noexcept
#define NT_STATIC_ASSERT static_assert
#else
#define NT_BEGIN_C
#define NT_END_C
#define NT_NOTHROW
#define NT_STATIC_ASSERT _Static_assert
/* A keyword of Microsoft's C. */
#ifndef static_assert
#define static_assert _Static_assert
#endif
#endif

NT_STATIC_ASSERT(sizeof(wchar_t) == 2, "compile with -fshort-wchar");
NT_STATIC_ASSERT(sizeof(void *) == 8, "compile for x86-64 with 64-bit pointers");

/* What Microsoft's compiler and its build define by themselves. */
#ifndef _WIN64
#define _WIN64 1
#endif
#ifndef _AMD64_
#define _AMD64_ 1
#endif
#ifndef _M_AMD64
#define _M_AMD64 100
#endif
#ifndef _M_X64
#define _M_X64 100
#endif

#ifdef NT_WINDOWS
#define DECLSPEC_IMPORT __declspec(dllimport)
#define DECLSPEC_EXPORT __declspec(dllexport)
#else
/* One convention for all: System V's. A callback that leaves NTAPI out is right too. */
#undef __stdcall
#undef __cdecl
#undef __fastcall
#undef __thiscall
#undef __vectorcall
#define __stdcall
#define __cdecl
#define __fastcall
#define __thiscall
#define __vectorcall
#define _cdecl
#define _stdcall
#define _fastcall
#define DECLSPEC_IMPORT
#define DECLSPEC_EXPORT

#undef __int8
#undef __int16
#undef __int32
#undef __int64
#define __int8 char
#define __int16 short
#define __int32 int
#define __int64 long long
#define __ptr32
#define __ptr64
#define __sptr
#define __uptr
#define __unaligned
#define __w64
#endif
/* For LONG: C's long has 32 bits in a .sys, and is another type than int. Natively it has 64. */
#ifdef NT_WINDOWS
#define NT_LONG long
#else
#define NT_LONG int
#endif

#define NTAPI
#define NTAPI_INLINE
#define NTSYSAPI DECLSPEC_IMPORT
#define NTSYSCALLAPI DECLSPEC_IMPORT
#define NTKERNELAPI DECLSPEC_IMPORT
#define NTHALAPI DECLSPEC_IMPORT
#define FASTCALL
#define CDECL
#define WINAPI
#define CALLBACK
#define APIENTRY
#define DECLSPEC_DEPRECATED_DDK
#define DECLSPEC_DEPRECATED_DDK_WINXP

/* For the variables of the host: a .sys reads them through its import table. */
#define NT_DATA extern DECLSPEC_IMPORT
/*
 * For variables that contain the address of another: here the pointer is the entry of the import table itself.
 * Drivers also declare them on their own, with extern alone.
 */
#ifdef NT_WINDOWS
#define NT_DATA_POINTER(name) name __asm__("__imp_" #name)
#else
#define NT_DATA_POINTER(name) name
#endif

/* FORCEINLINE may stand behind static, so it cannot contain it. */
#ifndef NT_WINDOWS
#undef __forceinline
#define __forceinline __inline__ __attribute__((__always_inline__))
#endif
#define FORCEINLINE __forceinline
#define CFORCEINLINE __forceinline
#define DECLSPEC_NOINLINE __attribute__((__noinline__))
#ifndef NT_WINDOWS
#define _forceinline __forceinline
#ifndef __cplusplus
#define _inline __inline__
#endif
#endif

/* For what these headers define themselves. */
#define NT_INLINE static __inline__ __attribute__((__unused__))

#ifndef NT_WINDOWS
/* Pasting keeps the argument from being expanded: __declspec(noreturn) also holds with <stdnoreturn.h>. */
#undef __declspec
#define _declspec __declspec
#define __declspec(x) NT_DECLSPEC_##x
#define NT_DECLSPEC_align(n) __attribute__((__aligned__(n)))
/* The name has a prefix, because the system's linker would drop or mix such sections. nt.ld sorts those of .CRT$ by name,
   as Microsoft's linker does: drivers walk from one marker to another. */
#define NT_DECLSPEC_allocate(section) __attribute__((__section__("hotadd" section)))
#define NT_DECLSPEC_allocator
#define NT_DECLSPEC_code_seg(section)
#define NT_DECLSPEC_empty_bases
#define NT_DECLSPEC_guard(what)
#define NT_DECLSPEC_hybrid_guest
#define NT_DECLSPEC_no_sanitize_address
#define NT_DECLSPEC_deprecated __attribute__((__deprecated__))
#define NT_DECLSPEC_dllexport __attribute__((__visibility__("default")))
#define NT_DECLSPEC_dllimport
#define NT_DECLSPEC_naked __attribute__((__naked__))
#define NT_DECLSPEC_noalias
#define NT_DECLSPEC_noinline __attribute__((__noinline__))
#define NT_DECLSPEC_noreturn __attribute__((__noreturn__))
#define NT_DECLSPEC_nothrow __attribute__((__nothrow__))
#define NT_DECLSPEC_novtable
#define NT_DECLSPEC_restrict
#define NT_DECLSPEC_safebuffers
#define NT_DECLSPEC_selectany __attribute__((__weak__))
#define NT_DECLSPEC_spectre(what)
#define NT_DECLSPEC_strict_gs_check
#define NT_DECLSPEC_thread __thread
#define NT_DECLSPEC_uuid(name)
#endif

/* A pragma inside a macro. clang has this; gcc's pragmas are others, so there it has no effect. */
#if !defined(NT_WINDOWS) && !defined(__clang__)
#define __pragma(...)
#endif

#define DECLSPEC_ALIGN(n) __attribute__((__aligned__(n)))
#define DECLSPEC_NORETURN __attribute__((__noreturn__))
#define DECLSPEC_NOTHROW __attribute__((__nothrow__))
#ifdef NT_WINDOWS
#define DECLSPEC_SELECTANY __declspec(selectany)
#else
#define DECLSPEC_SELECTANY __attribute__((__weak__))
#endif
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#define DECLSPEC_NOVTABLE
#define DECLSPEC_UUID(name)
#define DECLSPEC_SAFEBUFFERS
#define DECLSPEC_NOSANITIZEADDRESS

#define UNALIGNED
#define UNALIGNED64
#define RESTRICTED_POINTER
#define POINTER_32
#define POINTER_64
#define MAX_NATURAL_ALIGNMENT sizeof(ULONGLONG)
#define MEMORY_ALLOCATION_ALIGNMENT 16
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define TYPE_ALIGNMENT(t) __alignof__(t)
#define PROBE_ALIGNMENT(t) TYPE_ALIGNMENT(ULONG)

#define EXTERN_C_START NT_BEGIN_C
#define EXTERN_C_END NT_END_C
#ifdef __cplusplus
#define EXTERN_C extern "C"
#else
#define EXTERN_C extern
#endif

#define C_ASSERT(e) NT_STATIC_ASSERT(e, #e)
#define FIELD_OFFSET(type, field) ((LONG)__builtin_offsetof(type, field))
#define UFIELD_OFFSET(type, field) ((ULONG)__builtin_offsetof(type, field))
#define RTL_FIELD_SIZE(type, field) (sizeof(((type *)0)->field))
#define FIELD_SIZE(type, field) RTL_FIELD_SIZE(type, field)
#define RTL_SIZEOF_THROUGH_FIELD(type, field) (FIELD_OFFSET(type, field) + RTL_FIELD_SIZE(type, field))
#define RTL_CONTAINS_FIELD(record, size, field) \
    ((char *)(&(record)->field + 1) <= (char *)(record) + (size))
#define CONTAINING_RECORD(address, type, field) \
    ((type *)((char *)(address) - __builtin_offsetof(type, field)))
#define ARGUMENT_PRESENT(p) ((p) != NULL)
#define RTL_NUMBER_OF(array) (sizeof(array) / sizeof((array)[0]))
#define ARRAYSIZE(array) RTL_NUMBER_OF(array)
#define _ARRAYSIZE(array) RTL_NUMBER_OF(array)
#define _countof(array) RTL_NUMBER_OF(array)
#define RTL_NUMBER_OF_V1(array) RTL_NUMBER_OF(array)
#define RTL_NUMBER_OF_V2(array) RTL_NUMBER_OF(array)
#define RTL_NUMBER_OF_FIELD(type, field) RTL_NUMBER_OF(((type *)0)->field)
#define RTL_BITS_OF(what) (sizeof(what) * 8)
#define RTL_BITS_OF_FIELD(type, field) RTL_BITS_OF(((type *)0)->field)
#define RTL_PADDING_BETWEEN_FIELDS(type, a, b)                                                          \
    ((FIELD_OFFSET(type, b) > FIELD_OFFSET(type, a))                                                    \
         ? (FIELD_OFFSET(type, b) - FIELD_OFFSET(type, a) - RTL_FIELD_SIZE(type, a))                    \
         : (FIELD_OFFSET(type, a) - FIELD_OFFSET(type, b) - RTL_FIELD_SIZE(type, b)))
#define RTL_FIELD_TYPE(type, field) (((type *)0)->field)

/* Not in C++: the standard library has functions of these names. */
#if !defined(__cplusplus) && !defined(NOMINMAX)
#ifndef min
#define min(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef max
#define max(a, b) ((a) > (b) ? (a) : (b))
#endif
#endif

#define UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define DEFAULT_UNREACHABLE default: __builtin_unreachable()
#ifndef NOTHING
#define NOTHING
#endif
#ifndef CRITICAL
#define CRITICAL
#endif
/* __try, __except and __finally exist where the compiler has them: in clang for *-windows-msvc, for a .sys. */
#define GetExceptionCode() _exception_code()
#define GetExceptionInformation() ((struct _EXCEPTION_POINTERS *)_exception_info())
#define AbnormalTermination() _abnormal_termination()
#ifndef NT_WINDOWS
#define __assume(e) ((void)0)
#define __noop(...) ((void)0)
#endif
