/* Printing, asserting and stopping. */
#pragma once
#include "exception.h"
#include "irql.h"
#include "../bugcodes.h"

NT_BEGIN_C

ULONG DbgPrint(PCSTR Format, ...);
ULONG DbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, ...);
ULONG DbgPrintReturnControlC(PCSTR Format, ...);
ULONG vDbgPrintEx(ULONG ComponentId, ULONG Level, PCSTR Format, va_list arglist);
ULONG vDbgPrintExWithPrefix(PCSTR Prefix, ULONG ComponentId, ULONG Level, PCSTR Format, va_list arglist);
NTSTATUS DbgQueryDebugFilterState(ULONG ComponentId, ULONG Level);
NTSTATUS DbgSetDebugFilterState(ULONG ComponentId, ULONG Level, BOOLEAN State);
VOID DbgBreakPoint(VOID);
VOID DbgBreakPointWithStatus(ULONG Status);
VOID RtlAssert(PVOID FailedAssertion, PVOID FileName, ULONG LineNumber, PSTR Message);

typedef enum _DPFLTR_TYPE {
    DPFLTR_SYSTEM_ID = 0,
    DPFLTR_IHVVIDEO_ID = 76,
    DPFLTR_IHVDRIVER_ID = 77,
    DPFLTR_IHVAUDIO_ID = 78,
    DPFLTR_IHVNETWORK_ID = 79,
    DPFLTR_IHVSTREAMING_ID = 80,
    DPFLTR_IHVBUS_ID = 81,
    DPFLTR_DEFAULT_ID = 101
} DPFLTR_TYPE;

#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_MASK 0x80000000

DECLSPEC_NORETURN VOID KeBugCheck(ULONG BugCheckCode);
DECLSPEC_NORETURN VOID KeBugCheckEx(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
                                    ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4);

#define NT_VERIFY_TRUE(e, message)                                                                      \
    ((e) ? TRUE : (RtlAssert((PVOID)(#e), (PVOID)__FILE__, __LINE__, (PSTR)(message)), FALSE))

/* A build with DBG=1 is a checked one, as with the WDK. PAGED_CODE contains the semicolon, which drivers leave out. */
#if DBG
#define KdPrint(arguments) DbgPrint arguments
#define KdPrintEx(arguments) DbgPrintEx arguments
#define vKdPrintEx(arguments) vDbgPrintEx arguments
#define KdBreakPoint() DbgBreakPoint()
#define DbgRaiseAssertionFailure() __int2c()
#define ASSERT(e) ((void)NT_VERIFY_TRUE(e, NULL))
#define ASSERTMSG(message, e) ((void)NT_VERIFY_TRUE(e, message))
#define NT_ASSERT(e) ((void)NT_VERIFY_TRUE(e, NULL))
#define NT_ASSERTMSG(message, e) ((void)NT_VERIFY_TRUE(e, message))
#define NT_VERIFY(e) NT_VERIFY_TRUE(e, NULL)
#define RTL_SOFT_ASSERT(e) NT_ASSERT(e)
#define RTL_SOFT_VERIFY(e) NT_VERIFY(e)
#define RTL_VERIFY(e) NT_VERIFY(e)
#define PAGED_CODE() NT_ASSERT(KeGetCurrentIrql() <= APC_LEVEL);
#else
#define KdPrint(arguments)
#define KdPrintEx(arguments)
#define vKdPrintEx(arguments)
#define KdBreakPoint()
#define ASSERT(e) ((void)0)
#define ASSERTMSG(message, e) ((void)0)
#define NT_ASSERT(e) ((void)0)
#define NT_ASSERTMSG(message, e) ((void)0)
#define NT_VERIFY(e) ((e) ? TRUE : FALSE)
#define RTL_SOFT_ASSERT(e) ((void)0)
#define RTL_SOFT_VERIFY(e) NT_VERIFY(e)
#define RTL_VERIFY(e) NT_VERIFY(e)
#define PAGED_CODE() ((void)0);
#endif
#define ALLOC_PRAGMA 1
#define PAGED_CODE_LOCKED() ((void)0);
#define KdBreakPointWithStatus(status) KdBreakPoint()
#define NT_ASSUME(e) ((void)0)
#define NT_FRE_ASSERT(e) ((void)NT_VERIFY_TRUE(e, NULL))

NT_END_C
