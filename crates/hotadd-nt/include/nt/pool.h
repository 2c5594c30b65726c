/* Memory from the pools, by tag, and memory operations. */
#pragma once
#include "types.h"

NT_BEGIN_C

typedef enum _POOL_TYPE {
    NonPagedPool,
    NonPagedPoolExecute = NonPagedPool,
    PagedPool,
    NonPagedPoolMustSucceed,
    DontUseThisType,
    NonPagedPoolCacheAligned,
    PagedPoolCacheAligned,
    NonPagedPoolCacheAlignedMustS,
    MaxPoolType,
    NonPagedPoolBase = 0,
    NonPagedPoolNx = 512,
    NonPagedPoolNxCacheAligned = NonPagedPoolNx + NonPagedPoolCacheAligned
} POOL_TYPE;

#define POOL_QUOTA_FAIL_INSTEAD_OF_RAISE 0x8
#define POOL_RAISE_IF_ALLOCATION_FAILURE 0x10
#define POOL_COLD_ALLOCATION 0x100
#define POOL_NX_ALLOCATION 0x200
#define POOL_ZERO_ALLOCATION 0x400

typedef ULONG64 POOL_FLAGS;
#define POOL_FLAG_USE_QUOTA 0x1ULL
#define POOL_FLAG_UNINITIALIZED 0x2ULL
#define POOL_FLAG_SESSION 0x4ULL
#define POOL_FLAG_CACHE_ALIGNED 0x8ULL
#define POOL_FLAG_RAISE_ON_FAILURE 0x20ULL
#define POOL_FLAG_NON_PAGED 0x40ULL
#define POOL_FLAG_NON_PAGED_EXECUTE 0x80ULL
#define POOL_FLAG_PAGED 0x100ULL
#define POOL_FLAG_RESERVED1 0x10ULL
#define POOL_FLAG_RESERVED2 0x200ULL
#define POOL_FLAG_RESERVED3 0x400ULL
#define POOL_FLAG_SPECIAL_POOL 0x100000000ULL
#define POOL_FLAG_OPTIONAL_START 0x100000000ULL
#define POOL_FLAG_OPTIONAL_END 0x8000000000000000ULL

typedef enum _EX_POOL_PRIORITY {
    LowPoolPriority,
    LowPoolPrioritySpecialPoolOverrun = 8,
    LowPoolPrioritySpecialPoolUnderrun = 9,
    NormalPoolPriority = 16,
    NormalPoolPrioritySpecialPoolOverrun = 24,
    NormalPoolPrioritySpecialPoolUnderrun = 25,
    HighPoolPriority = 32,
    HighPoolPrioritySpecialPoolOverrun = 40,
    HighPoolPrioritySpecialPoolUnderrun = 41
} EX_POOL_PRIORITY;

typedef enum POOL_EXTENDED_PARAMETER_TYPE {
    PoolExtendedParameterInvalidType,
    PoolExtendedParameterPriority,
    PoolExtendedParameterSecurePool,
    PoolExtendedParameterNumaNode,
    PoolExtendedParameterMax
} POOL_EXTENDED_PARAMETER_TYPE;

typedef struct _POOL_EXTENDED_PARAMETER {
    struct {
        ULONG64 Type : 8;
        ULONG64 Optional : 1;
        ULONG64 Reserved : 55;
    };
    union {
        ULONG64 Reserved2;
        PVOID Reserved3;
        EX_POOL_PRIORITY Priority;
        PVOID SecurePoolParams;
        ULONG PreferredNode;
    };
} POOL_EXTENDED_PARAMETER, *PPOOL_EXTENDED_PARAMETER;
typedef const POOL_EXTENDED_PARAMETER *PCPOOL_EXTENDED_PARAMETER;

PVOID ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes);
PVOID ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
PVOID ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                    EX_POOL_PRIORITY Priority);
PVOID ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
PVOID ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);
PVOID ExAllocatePoolQuotaWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
PVOID ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters,
                      ULONG ExtendedParametersCount);
VOID ExFreePool(PVOID P);
VOID ExFreePoolWithTag(PVOID P, ULONG Tag);
VOID ExFreePool2(PVOID P, ULONG Tag, PCPOOL_EXTENDED_PARAMETER ExtendedParameters, ULONG ExtendedParametersCount);

VOID RtlFillMemory(PVOID Destination, SIZE_T Length, UCHAR Fill);
VOID RtlZeroMemory(PVOID Destination, SIZE_T Length);
VOID RtlCopyMemory(PVOID Destination, const VOID *Source, SIZE_T Length);
VOID RtlMoveMemory(PVOID Destination, const VOID *Source, SIZE_T Length);
VOID RtlCopyMemoryNonTemporal(PVOID Destination, const VOID *Source, SIZE_T Length);
SIZE_T RtlCompareMemoryUlong(PVOID Source, SIZE_T Length, ULONG Pattern);
#define RtlFillMemory(to, length, fill) __builtin_memset((to), (fill), (length))
#define RtlZeroMemory(to, length) __builtin_memset((to), 0, (length))
#define RtlCopyMemory(to, from, length) __builtin_memcpy((to), (from), (length))
#define RtlMoveMemory(to, from, length) __builtin_memmove((to), (from), (length))
#define RtlEqualMemory(a, b, length) (!__builtin_memcmp((a), (b), (length)))
#define RtlCopyBytes(to, from, length) RtlCopyMemory(to, from, length)
#define RtlZeroBytes(to, length) RtlZeroMemory(to, length)
#define RtlFillBytes(to, length, fill) RtlFillMemory(to, length, fill)
#define RtlMoveBytes(to, from, length) RtlMoveMemory(to, from, length)
#define FillMemory RtlFillMemory
#define ZeroMemory RtlZeroMemory
#define CopyMemory RtlCopyMemory
#define MoveMemory RtlMoveMemory
SIZE_T RtlCompareMemory(const VOID *Source1, const VOID *Source2, SIZE_T Length);

/* The barrier keeps the compiler from dropping the write to memory that nobody reads again. */
NT_INLINE PVOID RtlSecureZeroMemory(PVOID p, SIZE_T length)
{
    __builtin_memset(p, 0, length);
    __asm__ volatile("" : : "r"(p) : "memory");
    return p;
}

NT_INLINE PVOID ExAllocatePoolUninitialized(POOL_TYPE type, SIZE_T length, ULONG tag)
{
    return ExAllocatePoolWithTag(type, length, tag);
}

NT_INLINE PVOID ExAllocatePoolZero(POOL_TYPE type, SIZE_T length, ULONG tag)
{
    PVOID p = ExAllocatePoolWithTag(type, length, tag);

    if (p)
        RtlZeroMemory(p, length);
    return p;
}

NT_INLINE PVOID ExAllocatePoolPriorityZero(POOL_TYPE type, SIZE_T length, ULONG tag, EX_POOL_PRIORITY priority)
{
    PVOID p = ExAllocatePoolWithTagPriority(type, length, tag, priority);

    if (p)
        RtlZeroMemory(p, length);
    return p;
}

NT_INLINE VOID ExInitializeDriverRuntime(ULONG flags)
{
    (void)flags;
}
#define DrvRtPoolNxOptIn 1

NT_END_C
