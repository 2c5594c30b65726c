/* Spin locks and interrupt request levels. */
#include <ntddk.h>

static KSPIN_LOCK SpinLock;
static LIST_ENTRY Head;

extern VOID Locks(PLIST_ENTRY Entry);
extern VOID Levels(VOID);

VOID Locks(PLIST_ENTRY Entry)
{
    KLOCK_QUEUE_HANDLE handle;
    KIRQL irql;

    KeInitializeSpinLock(&SpinLock);
    InitializeListHead(&Head);

    KeAcquireSpinLock(&SpinLock, &irql);
    InsertTailList(&Head, Entry);
    KeReleaseSpinLock(&SpinLock, irql);

    KeAcquireInStackQueuedSpinLock(&SpinLock, &handle);
    RemoveEntryList(Entry);
    KeReleaseInStackQueuedSpinLock(&handle);

    irql = KeRaiseIrqlToDpcLevel();
    KeAcquireSpinLockAtDpcLevel(&SpinLock);
    KeReleaseSpinLockFromDpcLevel(&SpinLock);
    KeAcquireInStackQueuedSpinLockAtDpcLevel(&SpinLock, &handle);
    KeReleaseInStackQueuedSpinLockFromDpcLevel(&handle);
    if (KeTryToAcquireSpinLockAtDpcLevel(&SpinLock))
        KeReleaseSpinLockFromDpcLevel(&SpinLock);
    KeLowerIrql(irql);

    ExInterlockedInsertTailList(&Head, Entry, &SpinLock);
    if (ExInterlockedRemoveHeadList(&Head, &SpinLock) != Entry)
        ExInterlockedInsertHeadList(&Head, Entry, &SpinLock);
}

VOID Levels(VOID)
{
    KIRQL old;

    if (KeGetCurrentIrql() != PASSIVE_LEVEL)
        return;
    KeRaiseIrql(APC_LEVEL, &old);
    KeLowerIrql(old);
}

/* mingw-w64 11 has no reader-writer spin locks. */
#ifndef HEADERS_OF_MINGW
extern VOID ReaderWriter(PEX_SPIN_LOCK Lock);

VOID ReaderWriter(PEX_SPIN_LOCK Lock)
{
    KIRQL irql = ExAcquireSpinLockShared(Lock);

    ExReleaseSpinLockShared(Lock, irql);
    irql = ExAcquireSpinLockExclusive(Lock);
    ExReleaseSpinLockExclusive(Lock, irql);
}
#endif
