/* Lookaside lists: blocks of one size, kept for the next who wants one. */
#pragma once
#include "pool.h"
#include "slist.h"

NT_BEGIN_C

struct _LOOKASIDE_LIST_EX;
typedef PVOID ALLOCATE_FUNCTION(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag);
typedef ALLOCATE_FUNCTION *PALLOCATE_FUNCTION;
typedef PVOID ALLOCATE_FUNCTION_EX(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag,
                                   struct _LOOKASIDE_LIST_EX *Lookaside);
typedef ALLOCATE_FUNCTION_EX *PALLOCATE_FUNCTION_EX;
typedef VOID FREE_FUNCTION(PVOID Buffer);
typedef FREE_FUNCTION *PFREE_FUNCTION;
typedef VOID FREE_FUNCTION_EX(PVOID Buffer, struct _LOOKASIDE_LIST_EX *Lookaside);
typedef FREE_FUNCTION_EX *PFREE_FUNCTION_EX;

#define NT_GENERAL_LOOKASIDE                                                                            \
    union {                                                                                             \
        SLIST_HEADER ListHead;                                                                          \
        SINGLE_LIST_ENTRY SingleListHead;                                                               \
    };                                                                                                  \
    USHORT Depth;                                                                                       \
    USHORT MaximumDepth;                                                                                \
    ULONG TotalAllocates;                                                                               \
    union {                                                                                             \
        ULONG AllocateMisses;                                                                           \
        ULONG AllocateHits;                                                                             \
    };                                                                                                  \
    ULONG TotalFrees;                                                                                   \
    union {                                                                                             \
        ULONG FreeMisses;                                                                               \
        ULONG FreeHits;                                                                                 \
    };                                                                                                  \
    POOL_TYPE Type;                                                                                     \
    ULONG Tag;                                                                                          \
    ULONG Size;                                                                                         \
    union {                                                                                             \
        PALLOCATE_FUNCTION_EX AllocateEx;                                                               \
        PALLOCATE_FUNCTION Allocate;                                                                    \
    };                                                                                                  \
    union {                                                                                             \
        PFREE_FUNCTION_EX FreeEx;                                                                       \
        PFREE_FUNCTION Free;                                                                            \
    };                                                                                                  \
    LIST_ENTRY ListEntry;                                                                               \
    ULONG LastTotalAllocates;                                                                           \
    union {                                                                                             \
        ULONG LastAllocateMisses;                                                                       \
        ULONG LastAllocateHits;                                                                         \
    };                                                                                                  \
    ULONG Future[2];

typedef struct DECLSPEC_CACHEALIGN _GENERAL_LOOKASIDE {
    NT_GENERAL_LOOKASIDE
} GENERAL_LOOKASIDE, *PGENERAL_LOOKASIDE;

typedef struct _GENERAL_LOOKASIDE_POOL {
    NT_GENERAL_LOOKASIDE
} GENERAL_LOOKASIDE_POOL, *PGENERAL_LOOKASIDE_POOL;
#undef NT_GENERAL_LOOKASIDE

typedef struct _NPAGED_LOOKASIDE_LIST {
    GENERAL_LOOKASIDE L;
} NPAGED_LOOKASIDE_LIST, *PNPAGED_LOOKASIDE_LIST;

typedef struct _PAGED_LOOKASIDE_LIST {
    GENERAL_LOOKASIDE L;
} PAGED_LOOKASIDE_LIST, *PPAGED_LOOKASIDE_LIST;

typedef struct _LOOKASIDE_LIST_EX {
    GENERAL_LOOKASIDE_POOL L;
} LOOKASIDE_LIST_EX, *PLOOKASIDE_LIST_EX;

#define EX_LOOKASIDE_LIST_EX_FLAGS_RAISE_ON_FAIL 1
#define EX_LOOKASIDE_LIST_EX_FLAGS_FAIL_NO_RAISE 2

VOID ExInitializeNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                     PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth);
VOID ExDeleteNPagedLookasideList(PNPAGED_LOOKASIDE_LIST Lookaside);
VOID ExInitializePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside, PALLOCATE_FUNCTION Allocate,
                                    PFREE_FUNCTION Free, ULONG Flags, SIZE_T Size, ULONG Tag, USHORT Depth);
VOID ExDeletePagedLookasideList(PPAGED_LOOKASIDE_LIST Lookaside);
NTSTATUS ExInitializeLookasideListEx(PLOOKASIDE_LIST_EX Lookaside, PALLOCATE_FUNCTION_EX Allocate,
                                     PFREE_FUNCTION_EX Free, POOL_TYPE PoolType, ULONG Flags, SIZE_T Size, ULONG Tag,
                                     USHORT Depth);
VOID ExDeleteLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);
VOID ExFlushLookasideListEx(PLOOKASIDE_LIST_EX Lookaside);

/* A .sys has these inlined: a lookaside list must be what they expect, and the pool's functions are its default. */
#define NT_LOOKASIDE(kind, type)                                                                        \
    NT_INLINE PVOID ExAllocateFrom##kind(type lookaside)                                                \
    {                                                                                                   \
        PVOID entry;                                                                                    \
                                                                                                        \
        lookaside->L.TotalAllocates++;                                                                  \
        entry = InterlockedPopEntrySList(&lookaside->L.ListHead);                                       \
        if (!entry) {                                                                                   \
            lookaside->L.AllocateMisses++;                                                              \
            entry = NT_LOOKASIDE_ALLOCATE(lookaside);                                                   \
        }                                                                                               \
        return entry;                                                                                   \
    }                                                                                                   \
    NT_INLINE VOID ExFreeTo##kind(type lookaside, PVOID entry)                                          \
    {                                                                                                   \
        lookaside->L.TotalFrees++;                                                                      \
        if (ExQueryDepthSList(&lookaside->L.ListHead) >= lookaside->L.Depth) {                          \
            lookaside->L.FreeMisses++;                                                                  \
            NT_LOOKASIDE_FREE(lookaside, entry);                                                        \
        } else {                                                                                        \
            InterlockedPushEntrySList(&lookaside->L.ListHead, (PSLIST_ENTRY)entry);                     \
        }                                                                                               \
    }

#define NT_LOOKASIDE_ALLOCATE(l) (l)->L.Allocate((l)->L.Type, (l)->L.Size, (l)->L.Tag)
#define NT_LOOKASIDE_FREE(l, entry) (l)->L.Free(entry)
NT_LOOKASIDE(NPagedLookasideList, PNPAGED_LOOKASIDE_LIST)
NT_LOOKASIDE(PagedLookasideList, PPAGED_LOOKASIDE_LIST)
#undef NT_LOOKASIDE_ALLOCATE
#undef NT_LOOKASIDE_FREE
#define NT_LOOKASIDE_ALLOCATE(l) (l)->L.AllocateEx((l)->L.Type, (l)->L.Size, (l)->L.Tag, (l))
#define NT_LOOKASIDE_FREE(l, entry) (l)->L.FreeEx(entry, (l))
NT_LOOKASIDE(LookasideListEx, PLOOKASIDE_LIST_EX)
#undef NT_LOOKASIDE_ALLOCATE
#undef NT_LOOKASIDE_FREE
#undef NT_LOOKASIDE

NT_END_C
