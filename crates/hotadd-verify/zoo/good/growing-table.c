/*
 * Begins with a table for the active processors, and makes a larger one in AddStart when it needs it. The larger table
 * stays, also if the processor does not join: it is not a leak, because the next attempt uses it.
 */
#include "../zoo.h"

static NTSTATUS Grow(ULONG Index)
{
    /* Twice as many as before, so that a machine that grows by one processor at a time seldom copies. */
    ULONG count = Index < 2 * Maximum ? 2 * Maximum : Index + 1;
    PBLOCK *blocks = (PBLOCK *)ZooAllocate(count * sizeof(*blocks));

    if (blocks == NULL)
        return STATUS_INSUFFICIENT_RESOURCES;
    RtlZeroMemory(blocks, count * sizeof(*blocks));
    RtlCopyMemory(blocks, Blocks, Maximum * sizeof(*blocks));
    ZooFree(Blocks);
    /* No lock: only the callback uses the table, and its calls come one at a time. */
    Blocks = blocks;
    Maximum = count;
    return STATUS_SUCCESS;
}

static NTSTATUS Start(PCHANGE Change)
{
    NTSTATUS status = Change->NtNumber < Maximum ? STATUS_SUCCESS : Grow(Change->NtNumber);

    return NT_SUCCESS(status) ? ZooStart(Change) : status;
}

/* If the table could not grow, there is nothing to free. */
static VOID Failure(PCHANGE Change)
{
    if (Change->NtNumber < Maximum)
        ZooFailure(Change);
}

static NTSTATUS Load(VOID)
{
    return ZooLoadWith(KeQueryActiveProcessorCountEx(ALL_PROCESSOR_GROUPS), KE_PROCESSOR_CHANGE_ADD_EXISTING);
}

ZOO_CALLBACK(Start, ZooComplete, Failure)
ZOO_DRIVER(Load, ZooUnload)
