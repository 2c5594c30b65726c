/* What drivers write that is not a function: annotations, pragmas, macros, lists, atomic operations. */
#include <ntddk.h>

typedef signed char int8_t; /* drivers define these themselves */
typedef unsigned int uint32_t;

typedef struct _ITEM {
    LIST_ENTRY Link;
    SINGLE_LIST_ENTRY Single;
    DECLSPEC_ALIGN(64) volatile LONG Count;
    _Field_size_bytes_(Count) UCHAR Data[1];
} ITEM, *PITEM;

C_ASSERT(sizeof(ULONG) == 4 && sizeof(LONG) == 4 && sizeof(PVOID) == 8 && sizeof(WCHAR) == 2);
C_ASSERT(sizeof(L"abc") == 8);
C_ASSERT(FIELD_OFFSET(ITEM, Single) == 16);
C_ASSERT(RTL_FIELD_SIZE(ITEM, Link) == 16 && __alignof__(ITEM) == 64);

_IRQL_requires_max_(PASSIVE_LEVEL) _Must_inspect_result_ _Success_(return >= 0) EXTERN_C NTSTATUS
    Annotated(_In_reads_bytes_(Length) const VOID *Buffer, _In_ ULONG Length, _Out_opt_ PULONG Written,
              _Inout_updates_(2) PULONG Pair, _When_(Length > 0, _Out_) PULONG Other);
_Function_class_(KDEFERRED_ROUTINE) _IRQL_requires_(DISPATCH_LEVEL) _IRQL_requires_same_ EXTERN_C VOID
    AnnotatedDpc(_In_ PKDPC Dpc);
__drv_maxIRQL(APC_LEVEL) __checkReturn EXTERN_C NTSTATUS
    AnnotatedBefore(IN PVOID Buffer, OUT PULONG Written OPTIONAL, __in ULONG Length, __out_bcount(Length) PVOID Out,
                    __inout_opt PVOID Both, __deref_out PVOID *Result);

EXTERN_C VOID Pageable(VOID);
EXTERN_C VOID Discardable(VOID);
#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, Discardable)
#pragma alloc_text(PAGE, Pageable)
#endif
#pragma warning(push)
#pragma warning(disable : 4100)
#pragma warning(pop)

/* mingw-w64's FORCEINLINE contains extern, Microsoft's nothing of the kind. */
#ifdef HEADERS_OF_MINGW
static ULONG Twice(ULONG Value);
#else
static FORCEINLINE ULONG Twice(ULONG Value);
#endif

static ULONG Twice(ULONG Value)
{
    return Value * 2;
}

DECLSPEC_NOINLINE static VOID NotInline(VOID)
{
    _ReadWriteBarrier();
}

VOID Pageable(VOID)
{
    PAGED_CODE();
    NotInline();
}

VOID Discardable(VOID)
{
}

_Use_decl_annotations_ NTSTATUS Annotated(const VOID *Buffer, ULONG Length, PULONG Written, PULONG Pair, PULONG Other)
{
/* mingw-w64's assigns to it. */
#ifndef HEADERS_OF_MINGW
    const ULONG unused = 0;

    UNREFERENCED_PARAMETER(unused);
#endif
    UNREFERENCED_PARAMETER(Buffer);
    ASSERT(Length != 0);
    NT_ASSERT(Pair != NULL);
    if (ARGUMENT_PRESENT(Written))
        *Written = Twice(Length);
    *Other = MAXULONG;
    Pair[0] = Length;
    Pair[1] = PtrToUlong(Buffer);
#ifndef __cplusplus
    Pair[1] = min(Pair[0], max(Length, 2));
#endif
    if (NT_ERROR(STATUS_UNSUCCESSFUL) && NT_WARNING(STATUS_BUFFER_OVERFLOW) &&
        NT_INFORMATION(STATUS_OBJECT_NAME_EXISTS) && NT_SUCCESS(STATUS_PENDING))
        return STATUS_SUCCESS;
    return STATUS_INTERNAL_ERROR;
}

_Use_decl_annotations_ VOID AnnotatedDpc(PKDPC Dpc)
{
    PITEM item = CONTAINING_RECORD(Dpc, ITEM, Data);
    PVOID volatile pointer = NULL;
    LIST_ENTRY head;

    InitializeListHead(&head);
    InsertHeadList(&head, &item->Link);
    while (!IsListEmpty(&head)) {
        PLIST_ENTRY entry = RemoveHeadList(&head);

        InterlockedIncrement(&CONTAINING_RECORD(entry, ITEM, Link)->Count);
    }
    if (InterlockedCompareExchange(&item->Count, 0, 1) == 1)
        InterlockedExchangeAdd(&item->Count, 2);
    InterlockedOr(&item->Count, 4);
    InterlockedAnd(&item->Count, ~4);
    InterlockedCompareExchangePointer(&pointer, item, NULL);
    InterlockedExchangePointer(&pointer, NULL);
/* mingw-w64 declares neither this nor MemoryBarrier for x64 drivers. */
#ifndef HEADERS_OF_MINGW
    KeMemoryBarrier();
#endif
    switch (item->Count) {
    case 1:
        DbgBreakPoint();
        break;
    case 2:
        KeBugCheckEx(0xe2, (ULONG_PTR)item, 0, 0, 0);
    default:
        ExRaiseStatus(STATUS_INVALID_PARAMETER);
    }
}

NTSTATUS AnnotatedBefore(PVOID Buffer, PULONG Written, ULONG Length, PVOID Out, PVOID Both, PVOID *Result)
{
    SINGLE_LIST_ENTRY head = {NULL};
    LARGE_INTEGER big;

    UNREFERENCED_PARAMETER(Both);
    big.QuadPart = 0;
    big.LowPart = Length;
    big.u.HighPart = 1;
    PushEntryList(&head, &((PITEM)Buffer)->Single);
    *Result = PopEntryList(&head);
    RtlCopyMemory(Out, Buffer, Length);
    if (!RtlEqualMemory(Out, Buffer, Length) || RtlCompareMemory(Out, Buffer, Length) != Length)
        RtlMoveMemory(Out, Buffer, Length);
    *Written = big.LowPart + ARRAYSIZE("abc") + RTL_NUMBER_OF("abc") + (ULONG)(sizeof(int8_t) + sizeof(uint32_t));
    return STATUS_SUCCESS;
}
