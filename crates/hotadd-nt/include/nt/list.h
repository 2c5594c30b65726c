/* Doubly and singly linked lists. */
#pragma once
#include "bugcheck.h"
#include "intrin.h"

NT_BEGIN_C

NT_INLINE VOID InitializeListHead(PLIST_ENTRY head)
{
    head->Flink = head;
    head->Blink = head;
}

NT_INLINE BOOLEAN IsListEmpty(const LIST_ENTRY *head)
{
    return head->Flink == head;
}

/* TRUE when the list is empty afterwards. */
NT_INLINE BOOLEAN RemoveEntryList(PLIST_ENTRY entry)
{
    PLIST_ENTRY next = entry->Flink;
    PLIST_ENTRY previous = entry->Blink;

    /* Going on would spread the damage. */
    if (next->Blink != entry || previous->Flink != entry)
        __fastfail(FAST_FAIL_CORRUPT_LIST_ENTRY);
    previous->Flink = next;
    next->Blink = previous;
    return next == previous;
}

NT_INLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Flink;

    RemoveEntryList(entry);
    return entry;
}

NT_INLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY head)
{
    PLIST_ENTRY entry = head->Blink;

    RemoveEntryList(entry);
    return entry;
}

NT_INLINE VOID NtInsertBetween(PLIST_ENTRY previous, PLIST_ENTRY entry, PLIST_ENTRY next)
{
    if (previous->Flink != next || next->Blink != previous)
        __fastfail(FAST_FAIL_CORRUPT_LIST_ENTRY);
    entry->Flink = next;
    entry->Blink = previous;
    next->Blink = entry;
    previous->Flink = entry;
}

NT_INLINE VOID InsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    NtInsertBetween(head, entry, head->Flink);
}

NT_INLINE VOID InsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry)
{
    NtInsertBetween(head->Blink, entry, head);
}

/* A list that was changed by something else stops the driver here, where it is noticed. */
NT_INLINE VOID RtlpCheckListEntry(PLIST_ENTRY entry)
{
    if (entry->Flink->Blink != entry || entry->Blink->Flink != entry)
        __fastfail(FAST_FAIL_CORRUPT_LIST_ENTRY);
}
#define RtlCheckListEntry(entry) RtlpCheckListEntry(entry)

/* `list` is the first entry of entries without a head. */
NT_INLINE VOID AppendTailList(PLIST_ENTRY head, PLIST_ENTRY list)
{
    PLIST_ENTRY last = head->Blink;

    last->Flink = list;
    head->Blink = list->Blink;
    list->Blink->Flink = head;
    list->Blink = last;
}

NT_INLINE VOID PushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry)
{
    entry->Next = head->Next;
    head->Next = entry;
}

NT_INLINE PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY head)
{
    PSINGLE_LIST_ENTRY entry = head->Next;

    if (entry)
        head->Next = entry->Next;
    return entry;
}

/* Under a spin lock, at any interrupt request level; NULL when the list was empty. */
PLIST_ENTRY ExInterlockedInsertHeadList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock);
PLIST_ENTRY ExInterlockedInsertTailList(PLIST_ENTRY head, PLIST_ENTRY entry, PKSPIN_LOCK lock);
PLIST_ENTRY ExInterlockedRemoveHeadList(PLIST_ENTRY head, PKSPIN_LOCK lock);
PSINGLE_LIST_ENTRY ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY head, PSINGLE_LIST_ENTRY entry, PKSPIN_LOCK lock);
PSINGLE_LIST_ENTRY ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY head, PKSPIN_LOCK lock);
LARGE_INTEGER ExInterlockedAddLargeInteger(PLARGE_INTEGER addend, LARGE_INTEGER increment, PKSPIN_LOCK lock);
ULONG ExInterlockedAddUlong(PULONG addend, ULONG increment, PKSPIN_LOCK lock);

NT_END_C
