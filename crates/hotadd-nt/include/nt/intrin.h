/* Barriers, bit scans and the few instructions that drivers ask the compiler for. */
#pragma once
#include "types.h"

NT_BEGIN_C

#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define KeMemoryBarrierWithoutFence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier() KeMemoryBarrier()
#define _ReadWriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _ReadBarrier() __atomic_signal_fence(__ATOMIC_ACQUIRE)
#define _WriteBarrier() __atomic_signal_fence(__ATOMIC_RELEASE)
#define YieldProcessor() __builtin_ia32_pause()
#define __debugbreak() __asm__ volatile("int3")
#define __fastfail(code) ((void)(code), __builtin_trap())
#define RtlFailFast(code) __fastfail(code)
#define _ReturnAddress() __builtin_return_address(0)
#define _AddressOfReturnAddress() ((PVOID)((ULONG_PTR)__builtin_frame_address(0) + sizeof(PVOID)))

#define ReadAcquire(p) __atomic_load_n((LONG volatile const *)(p), __ATOMIC_ACQUIRE)
#define ReadNoFence(p) __atomic_load_n((LONG volatile const *)(p), __ATOMIC_RELAXED)
#define ReadAcquire64(p) __atomic_load_n((LONG64 volatile const *)(p), __ATOMIC_ACQUIRE)
#define ReadNoFence64(p) __atomic_load_n((LONG64 volatile const *)(p), __ATOMIC_RELAXED)
#define ReadPointerAcquire(p) __atomic_load_n((PVOID volatile const *)(p), __ATOMIC_ACQUIRE)
#define ReadPointerNoFence(p) __atomic_load_n((PVOID volatile const *)(p), __ATOMIC_RELAXED)
#define ReadULongAcquire(p) __atomic_load_n((ULONG volatile const *)(p), __ATOMIC_ACQUIRE)
#define ReadULongNoFence(p) __atomic_load_n((ULONG volatile const *)(p), __ATOMIC_RELAXED)
#define WriteRelease(p, v) __atomic_store_n((LONG volatile *)(p), (LONG)(v), __ATOMIC_RELEASE)
#define WriteNoFence(p, v) __atomic_store_n((LONG volatile *)(p), (LONG)(v), __ATOMIC_RELAXED)
#define WriteRelease64(p, v) __atomic_store_n((LONG64 volatile *)(p), (LONG64)(v), __ATOMIC_RELEASE)
#define WriteNoFence64(p, v) __atomic_store_n((LONG64 volatile *)(p), (LONG64)(v), __ATOMIC_RELAXED)
#define WritePointerRelease(p, v) __atomic_store_n((PVOID volatile *)(p), (PVOID)(v), __ATOMIC_RELEASE)
#define WritePointerNoFence(p, v) __atomic_store_n((PVOID volatile *)(p), (PVOID)(v), __ATOMIC_RELAXED)

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

/* Drivers pass the address of an unsigned long, which is a ULONG on Windows: here they must say ULONG. */
#define BitScanForward(index, mask) NtBitScanForward(index, mask)
#define BitScanReverse(index, mask) NtBitScanReverse(index, mask)
#define BitScanForward64(index, mask) NtBitScanForward64(index, mask)
#define BitScanReverse64(index, mask) NtBitScanReverse64(index, mask)
#define _BitScanForward(index, mask) NtBitScanForward(index, mask)
#define _BitScanReverse(index, mask) NtBitScanReverse(index, mask)
#define _BitScanForward64(index, mask) NtBitScanForward64(index, mask)
#define _BitScanReverse64(index, mask) NtBitScanReverse64(index, mask)

NT_INLINE ULONG64 ReadTimeStampCounter(VOID)
{
    return __builtin_ia32_rdtsc();
}

NT_END_C
