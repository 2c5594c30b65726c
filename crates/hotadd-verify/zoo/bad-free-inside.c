/*
 * Allocates a counter behind a header, and frees the counter's address instead of the header's. The system stops with
 * BAD_POOL_CALLER, or takes what lies before it for the description of a block.
 */
#include "zoo.h"

typedef struct _COUNTER {
    ULONG64 Header[2];
    ULONG64 Value[2];
} COUNTER, *PCOUNTER;

static PCOUNTER Counter;

static VOID Complete(PCHANGE Change)
{
    ZooComplete(Change);
    Counter->Value[0]++;
}

static NTSTATUS Load(VOID)
{
    NTSTATUS status;

    Counter = (PCOUNTER)ZooAllocate(sizeof(*Counter));
    if (Counter == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(Counter, sizeof(*Counter));
    status = ZooLoad();
    if (!NT_SUCCESS(status))
        ZooFree(Counter);
    return status;
}

static VOID Unload(VOID)
{
    ZooUnload();
    /* The fault: the block begins at the header. */
    ZooFree(Counter->Value);
}

ZOO_CALLBACK(ZooStart, Complete, ZooFailure)
ZOO_DRIVER(Load, Unload)
