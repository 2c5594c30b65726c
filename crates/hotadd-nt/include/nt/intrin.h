/* Barriers, stopping, and the few instructions that drivers ask the compiler for. */
#pragma once
#include "fences.h"
#include "types.h"

/* The compiler's own part, before what is defined here: it uses the same names for other things. */
#ifdef __clang__
#ifndef __X86INTRIN_H
#define __X86INTRIN_H
#include <ia32intrin.h>
#undef __X86INTRIN_H
#endif
#elif __has_include(<x86gprintrin.h>)
#include <x86gprintrin.h>
#else
#include <x86intrin.h>
#endif
#include <xmmintrin.h>

NT_BEGIN_C

#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define KeMemoryBarrierWithoutFence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier() KeMemoryBarrier()
#define _ReadWriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _ReadBarrier() __atomic_signal_fence(__ATOMIC_ACQUIRE)
#define _WriteBarrier() __atomic_signal_fence(__ATOMIC_RELEASE)
#define FastFence() KeMemoryBarrier()
#define LoadFence() __asm__ volatile("lfence" : : : "memory")
#define StoreFence() __asm__ volatile("sfence" : : : "memory")
#define MemoryFence() __asm__ volatile("mfence" : : : "memory")
#define __faststorefence() KeMemoryBarrier()
#define YieldProcessor() __builtin_ia32_pause()
#define PF_TEMPORAL_LEVEL_1 _MM_HINT_T0
#define PF_TEMPORAL_LEVEL_2 _MM_HINT_T1
#define PF_TEMPORAL_LEVEL_3 _MM_HINT_T2
#define PF_NON_TEMPORAL_LEVEL_ALL _MM_HINT_NTA
#define PreFetchCacheLine(level, p) _mm_prefetch((const char *)(p), (level))
#define PrefetchForWrite(p) __builtin_prefetch((const void *)(p), 1)
#define ReadForWriteAccess(p) (PrefetchForWrite(p), *(p))
#define __nop() __asm__ volatile("nop")
#define __ud2() __builtin_trap()
#ifndef NT_WINDOWS
#define __debugbreak() __asm__ volatile("int3")

/* Stops at once, with a code that says why: FAST_FAIL_... */
NT_INLINE DECLSPEC_NORETURN VOID NtFastFail(ULONG code)
{
    __asm__ volatile("int $0x29" : : "c"(code) : "memory");
    __builtin_unreachable();
}
#define __fastfail(code) NtFastFail((ULONG)(code))
#endif
NT_INLINE VOID NtInt2c(VOID)
{
    __asm__ volatile("int $0x2c");
}
#undef __int2c
#define __int2c() NtInt2c()
#define RtlFailFast(code) __fastfail(code)
#ifndef NT_WINDOWS
#define _ReturnAddress() __builtin_return_address(0)
#define _AddressOfReturnAddress() ((PVOID)((ULONG_PTR)__builtin_frame_address(0) + sizeof(PVOID)))
#endif

NT_INLINE ULONG64 ReadTimeStampCounter(VOID)
{
    return __builtin_ia32_rdtsc();
}

NT_END_C

#include "bits.h"
#include "cpu.h"
