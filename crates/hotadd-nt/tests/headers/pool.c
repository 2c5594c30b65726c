/* Pool memory, lookaside lists, sequenced lists and MDLs. */
#include <ntddk.h>

#define TAG 'looP'

typedef struct _ITEM {
    SLIST_ENTRY Entry;
    ULONG Value;
} ITEM, *PITEM;

extern PVOID Allocate(SIZE_T Size);
extern VOID Lookaside(VOID);
extern VOID Sequenced(PSLIST_HEADER Header, PITEM Item);
extern PVOID Describe(PVOID Buffer, ULONG Length);

PVOID Allocate(SIZE_T Size)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, Size, TAG);

    if (block == NULL)
        return NULL;
    RtlZeroMemory(block, Size);
    RtlFillMemory(block, Size, 0xff);
    ExFreePool(block);
    block = ExAllocatePoolWithTagPriority(PagedPool, Size, TAG, NormalPoolPriority);
    if (block != NULL)
        ExFreePoolWithTag(block, TAG);
/* mingw-w64 11 ends before Windows 10, version 2004. */
#ifndef HEADERS_OF_MINGW
    block = ExAllocatePoolZero(NonPagedPoolNx, Size, TAG);
    if (block != NULL)
        ExFreePoolWithTag(block, TAG);
    block = ExAllocatePoolUninitialized(NonPagedPoolNx, Size, TAG);
    if (block != NULL)
        ExFreePoolWithTag(block, TAG);
    block = ExAllocatePool2(POOL_FLAG_NON_PAGED | POOL_FLAG_CACHE_ALIGNED, Size, TAG);
#endif
    return block;
}

VOID Lookaside(VOID)
{
    static NPAGED_LOOKASIDE_LIST list;
    static PAGED_LOOKASIDE_LIST paged;
    static LOOKASIDE_LIST_EX extended;
    PVOID block;

    ExInitializeNPagedLookasideList(&list, NULL, NULL, 0, 128, TAG, 0);
    block = ExAllocateFromNPagedLookasideList(&list);
    if (block != NULL)
        ExFreeToNPagedLookasideList(&list, block);
    ExDeleteNPagedLookasideList(&list);

    ExInitializePagedLookasideList(&paged, NULL, NULL, 0, 128, TAG, 0);
    block = ExAllocateFromPagedLookasideList(&paged);
    if (block != NULL)
        ExFreeToPagedLookasideList(&paged, block);
    ExDeletePagedLookasideList(&paged);

    if (!NT_SUCCESS(ExInitializeLookasideListEx(&extended, NULL, NULL, NonPagedPoolNx, 0, 128, TAG, 0)))
        return;
    block = ExAllocateFromLookasideListEx(&extended);
    if (block != NULL)
        ExFreeToLookasideListEx(&extended, block);
    ExDeleteLookasideListEx(&extended);
}

VOID Sequenced(PSLIST_HEADER Header, PITEM Item)
{
    PSLIST_ENTRY entry;

    InitializeSListHead(Header);
    ExInitializeSListHead(Header);
    InterlockedPushEntrySList(Header, &Item->Entry);
    entry = InterlockedPopEntrySList(Header);
    if (entry != NULL && CONTAINING_RECORD(entry, ITEM, Entry)->Value == 0)
        ExInterlockedFlushSList(Header);
    if (ExQueryDepthSList(Header) != 0)
        ExInterlockedPopEntrySList(Header, NULL);
}

PVOID Describe(PVOID Buffer, ULONG Length)
{
    PMDL mdl = IoAllocateMdl(Buffer, Length, FALSE, FALSE, NULL);
    PVOID mapped;

    if (mdl == NULL)
        return NULL;
    MmBuildMdlForNonPagedPool(mdl);
    mapped = MmGetSystemAddressForMdlSafe(mdl, NormalPagePriority);
    if (MmGetMdlByteCount(mdl) != Length || MmGetMdlVirtualAddress(mdl) != Buffer)
        mapped = NULL;
    MmProbeAndLockPages(mdl, KernelMode, IoModifyAccess);
    MmUnlockPages(mdl);
    IoFreeMdl(mdl);
    return mapped;
}
