/* What a processor says about itself, and instructions that move memory or read what only the system has. */
#pragma once
#include "types.h"

NT_BEGIN_C

NT_INLINE VOID NtCpuid(int *info, int leaf, int subleaf)
{
    __asm__ volatile("cpuid"
                     : "=a"(info[0]), "=b"(info[1]), "=c"(info[2]), "=d"(info[3])
                     : "a"(leaf), "c"(subleaf));
}
#undef __cpuid
#undef __cpuidex
#define __cpuid(info, leaf) NtCpuid((int *)(info), (int)(leaf), 0)
#define __cpuidex(info, leaf, subleaf) NtCpuid((int *)(info), (int)(leaf), (int)(subleaf))

#define NT_STRING_INSTRUCTIONS(letter, suffix, type)                                                    \
    NT_INLINE VOID NtMove##letter(type *to, type const *from, SIZE_T count)                             \
    {                                                                                                   \
        __asm__ volatile("rep movs" suffix : "+D"(to), "+S"(from), "+c"(count) : : "memory");           \
    }                                                                                                   \
    NT_INLINE VOID NtStore##letter(type *to, type value, SIZE_T count)                                  \
    {                                                                                                   \
        __asm__ volatile("rep stos" suffix : "+D"(to), "+c"(count) : "a"(value) : "memory");            \
    }
NT_STRING_INSTRUCTIONS(B, "b", UCHAR)
NT_STRING_INSTRUCTIONS(W, "w", USHORT)
NT_STRING_INSTRUCTIONS(D, "l", ULONG)
NT_STRING_INSTRUCTIONS(Q, "q", ULONG64)
#undef NT_STRING_INSTRUCTIONS
#define __movsb(to, from, count) NtMoveB(to, from, count)
#define __movsw(to, from, count) NtMoveW(to, from, count)
#define __movsd(to, from, count) NtMoveD(to, from, count)
#define __movsq(to, from, count) NtMoveQ(to, from, count)
#define __stosb(to, value, count) NtStoreB(to, value, count)
#define __stosw(to, value, count) NtStoreW(to, value, count)
#define __stosd(to, value, count) NtStoreD(to, value, count)
#define __stosq(to, value, count) NtStoreQ(to, value, count)

/* The processor block of the host, through gs. */
#define NT_READ_GS(letter, suffix, type)                                                                \
    NT_INLINE type NtReadGs##letter(ULONG offset)                                                       \
    {                                                                                                   \
        type value;                                                                                     \
                                                                                                        \
        __asm__ volatile("mov" suffix " %%gs:(%q1), %0" : "=r"(value) : "r"((ULONG64)offset));          \
        return value;                                                                                   \
    }
NT_READ_GS(B, "b", UCHAR)
NT_READ_GS(W, "w", USHORT)
NT_READ_GS(D, "l", ULONG)
NT_READ_GS(Q, "q", ULONG64)
#undef NT_READ_GS
#define __readgsbyte(offset) NtReadGsB(offset)
#define __readgsword(offset) NtReadGsW(offset)
#define __readgsdword(offset) NtReadGsD(offset)
#define __readgsqword(offset) NtReadGsQ(offset)

/* These fault in a program; the host does what they would. __readmsr and __inbyte have no such meaning, so they are not here. */
NT_INLINE ULONG64 NtReadCr8(VOID)
{
    ULONG64 value;

    __asm__ volatile("mov %%cr8, %0" : "=r"(value));
    return value;
}

NT_INLINE VOID NtWriteCr8(ULONG64 value)
{
    __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory");
}

NT_INLINE VOID NtDisable(VOID)
{
    __asm__ volatile("cli" : : : "memory");
}

NT_INLINE VOID NtEnable(VOID)
{
    __asm__ volatile("sti" : : : "memory");
}

#define __readcr8() NtReadCr8()
#define __writecr8(value) NtWriteCr8(value)
#define _disable() NtDisable()
#define _enable() NtEnable()

NT_END_C
